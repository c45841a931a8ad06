"""Requests and answers to begin with."""

from collections.abc import Iterable
from typing import Any

from drf_spectacular.utils import OpenApiExample

_RESERVATION = "0199f0c2-6f1e-7c3a-9d5e-0242ac120002"
_DAY = {
    "scope": "TENANT", "feature": "PATENT_DRAFTING", "task": None, "user": None, "measure": "UNITS",
    "unit": "TOKENS", "period": "DAY", "limit": 500000, "used": 12000, "reserved": 5200, "overrun": 0,
    "remaining": 482800, "resets_at": "2026-11-25T00:00:00Z",
}  # fmt: skip
_ASK = {
    "tenant": "ACME", "user": "u-17", "task": "LLM2_DRAFT", "feature": "PATENT_DRAFTING", "model_class": "PRO_L",
    "estimate": {"input_tokens": 1200, "max_output_tokens": 4000, "api_calls": 1, "items": 1},
    "requested": {"max_steps": 8, "top_k": 5, "files": 1}, "ttl_seconds": 300, "metadata": {"trace": "abc"},
}  # fmt: skip
_PERMIT = {
    "allowed": True, "code": "OK", "message": "", "retryable": False, "retry_after_seconds": None,
    "reservation_id": _RESERVATION, "expires_at": "2026-11-24T10:05:00Z", "ttl_seconds": 300,
    "decision_id": _RESERVATION,
    "params": {
        "model_class": "PRO_L", "allowed_model_classes": ["BASE_S", "BASE_M", "PRO_M", "PRO_L"],
        "max_tokens_in": 1200, "max_tokens_out": 4000, "max_steps": 8, "top_k": 5, "max_files": 1,
    },
    "shaped": [], "mode": "ENFORCE", "would_deny": None, "estimated_cost": "0.043", "hold": None, "on_failure": "OPEN",
    "policy_version": "41.3.7", "binding": None, "quotas": [_DAY],
}  # fmt: skip
_REFUSAL = _PERMIT | {
    "allowed": False, "code": "DAILY_QUOTA_EXCEEDED",
    "message": "PATENT_DRAFTING: 5,200 tokens asked, 1,300 left of 500,000 today; resets at 2026-11-25 00:00 UTC.",
    "retry_after_seconds": 50401, "reservation_id": None, "expires_at": None, "ttl_seconds": None, "params": None,
    "estimated_cost": None, "hold": None,
    "binding": _DAY | {"used": 498700, "reserved": 0, "remaining": 1300, "requested": 5200},
    "quotas": [],
}  # fmt: skip
_WHY = {
    "id": "0199f0c2-6f1e-7c3a-9d5e-0242ac120003", "decided_at": "2026-11-24T10:00:00Z", "allowed": False,
    "code": "DAILY_QUOTA_EXCEEDED", "message": _REFUSAL["message"], "times": 3, "tenant": "ACME", "user": "u-17",
    "feature": "PATENT_DRAFTING", "task": "LLM2_DRAFT", "mode": "ENFORCE",
    "versions": {"catalogue": 41, "keys": 3, "tenant": 7},
    "gates": [
        {
            "gate": "MODE", "verdict": "PASSED", "inputs": {"mode": "ENFORCE", "made_of": None}, "rule": None,
            "rules": [], "why": "Tenant, feature and roll-out all enforce: what is beyond a limit is refused.",
        },
        {
            "gate": "DAILY_QUOTA", "verdict": "REFUSED", "inputs": _REFUSAL["binding"], "rule": "plan PRO",
            "rules": [
                {
                    "id": None, "scope": "PLAN", "target": None, "key": "DAILY_QUOTA", "value": 500000,
                    "why": "It is for the plan PRO itself: most specific because there is none for the tenant or a "
                    "rule about PATENT_DRAFTING in the plan PRO; it comes before what is for everybody.",
                },
            ],
            "why": _REFUSAL["message"],
        },
    ],
    "binding": _REFUSAL["binding"], "would_deny": [], "shaped": [], "hold": None,
}  # fmt: skip
_COMMIT = {
    "status": "success",
    "usage": {
        "input_tokens": 1180, "cached_input_tokens": 0, "cache_write_tokens": 0, "output_tokens": 2950,
        "reasoning_tokens": 0, "api_calls": 1, "items": 1,
    },
    "model": "gpt-4o", "model_class": "PRO_L", "api_code": "OPENAI", "certainty": "FINAL", "latency_ms": 8123,
    "error": None,
}  # fmt: skip
_RAW_COMMIT = {
    "provider": "openai",
    "raw_usage": {
        "prompt_tokens": 1180, "completion_tokens": 2950, "prompt_tokens_details": {"cached_tokens": 80},
    },
    "model": "gpt-4o", "api_code": "OPENAI",
}  # fmt: skip
_EVENT = {
    "id": "job-17", "source": "nightly", "tenant": "ACME", "user": "u-17", "task": "LLM2_DRAFT",
    "usage": {"input_tokens": 1180, "output_tokens": 2950}, "model": "gpt-4o",
}  # fmt: skip
_TRIAL = {
    "plan": "PRO", "revision": "draft", "changes": {"PATENT_DRAFTING.daily_quota": 400000, "MAX_TOKENS_OUT": 2000},
    "tenant": None, "days": 30,
}  # fmt: skip
CLOUD_EVENT = {
    "specversion": "1.0", "id": "job-17", "source": "nightly", "type": "com.example.usage",
    "data": {"tenant": "ACME", "task": "LLM2_DRAFT", "usage": {"input_tokens": 1180}},
}  # fmt: skip


def _sent(name: str, value: Any) -> OpenApiExample:  # noqa: ANN401 - JSON
    return OpenApiExample(name, value, request_only=True)


def _answered(name: str, value: Any) -> OpenApiExample:  # noqa: ANN401 - JSON
    return OpenApiExample(name, value, response_only=True)


EXAMPLES: dict[str, Iterable[OpenApiExample]] = {
    "enforce": [_sent("Ask", _ASK), _answered("Permit", _PERMIT), _answered("Refusal", _REFUSAL)],
    "check": [
        _sent("Ask", _ASK),
        _answered("Refusal with ?explain=1", _REFUSAL | {"decision_id": None, "explanation": _WHY | {"id": None}}),
    ],
    "decision": [_answered("A refusal (of its 16 gates two)", _WHY)],
    "enforce_batch": [_sent("Two asks", {"items": [_ASK | {"idempotency_key": key} for key in ("job-1", "job-2")]})],
    "commit": [_sent("Our own counts", _COMMIT), _sent("The provider's object", _RAW_COMMIT)],
    "report": [_sent("Totals so far", {"usage": {"input_tokens": 1180, "output_tokens": 700}})],
    "release": [_sent("Nothing was used", {"reason": "The user went away."})],
    "extend": [_sent("Five minutes more", {"ttl_seconds": 300})],
    "commit_batch": [_sent("One commit", {"items": [_COMMIT | {"reservation_id": _RESERVATION}]})],
    "simulate": [_sent("A draft, edited", _TRIAL)],
    "usage_events": [_sent("One event", _EVENT)],
}
