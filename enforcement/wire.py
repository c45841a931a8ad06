"""The API's request bodies as msgspec structs: what may be sent, and an error that names the field that may not."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal, TypeVar
from uuid import UUID

import msgspec
from msgspec import Meta, Struct

from enforcement.complaints import invalid
from enforcement.decisions import Ask
from enforcement.errors import Invalid, Malformed
from plans.permits import Wants

T = TypeVar("T")

MAX_METADATA_BYTES = 1024
# A NUL cannot be stored in PostgreSQL.
Text = Annotated[str, Meta(max_length=128, pattern=r"^[^\x00]*$")]
Name = Annotated[str, Meta(min_length=1, max_length=128, pattern=r"^[^\x00]*$")]
Key = Annotated[str, Meta(min_length=1, max_length=128, pattern=r"^[\x20-\x7e]+(?![\s\S])")]
Message = Annotated[str, Meta(max_length=100_000, pattern=r"^[^\x00]*$")]
Count = Annotated[int, Meta(ge=0, le=10**9)]
Limit = Annotated[int, Meta(ge=0, le=10**18)]
Ttl = Annotated[int, Meta(ge=1, le=86_400)]

Changes = Annotated[dict[Name, bool | Limit | Text | None], Meta(max_length=100)]


class Estimate(Struct, forbid_unknown_fields=True):
    input_tokens: Count | None = None
    max_output_tokens: Count | None = None
    api_calls: Count | None = None
    items: Count | None = None
    web_searches: Count | None = None


class Requested(Struct, forbid_unknown_fields=True):
    max_steps: Count | None = None
    top_k: Count | None = None
    files: Count | None = None


class EnforceBody(Struct, forbid_unknown_fields=True):
    """POST /enforce and /check; in a batch each item."""

    tenant: Name | None = None
    user: Name | None = None
    task: Name | None = None
    feature: Name | None = None
    model_class: Name | None = None
    estimate: Estimate = msgspec.field(default_factory=Estimate)
    requested: Requested = msgspec.field(default_factory=Requested)
    ttl_seconds: Ttl | None = None
    metadata: dict[Text, Text] | None = None
    idempotency_key: Key | None = None

    def ask(self, correlation_id: str | None) -> Ask:
        """The ask this body makes. Raises Invalid."""
        body = msgspec.to_builtins(self)
        for field in ("idempotency_key", "tenant", "user"):
            del body[field]
        return Ask(
            tenant=self.tenant,
            user=self.user,
            task=self.task,
            feature=self.feature,
            wants=Wants(
                input_tokens=self.estimate.input_tokens,
                max_output_tokens=self.estimate.max_output_tokens,
                api_calls=self.estimate.api_calls,
                items=self.estimate.items,
                web_searches=self.estimate.web_searches,
                max_steps=self.requested.max_steps,
                top_k=self.requested.top_k,
                files=self.requested.files,
                model_class=self.model_class,
                ttl_seconds=self.ttl_seconds,
            ),
            metadata=metadata(self.metadata),
            body=body,
            correlation_id=correlation_id,
        )


class CommitBody(Struct, forbid_unknown_fields=True):
    """POST /reservations/{id}/commit and /report; in a batch each item, with its reservation."""

    status: Literal["success", "failed"] = "success"
    usage: dict[str, Any] | None = None
    provider: Name | None = None
    raw_usage: dict[str, Any] | None = None
    model: Name | None = None
    is_batch: bool = False
    model_class: Name | None = None
    api_code: Annotated[str, Meta(max_length=64, pattern=r"^[^\x00]*$")] | None = None
    certainty: Literal["FINAL", "PARTIAL", "ESTIMATED", "UNKNOWN"] = "FINAL"
    latency_ms: Annotated[int, Meta(ge=0, le=10**12)] | None = None
    error: Message | None = None
    tenant: Name | None = None
    reservation_id: UUID | None = None


class ReleaseBody(Struct, forbid_unknown_fields=True):
    """POST /reservations/{id}/release."""

    reason: Message | None = None
    tenant: Name | None = None


class ExtendBody(Struct, forbid_unknown_fields=True):
    """POST /reservations/{id}/extend."""

    ttl_seconds: Ttl
    tenant: Name | None = None


class EventBody(Struct, forbid_unknown_fields=True):
    """POST /usage/events: one event, or a CloudEvent's data."""

    id: Annotated[str, Meta(min_length=1, max_length=200, pattern=r"^[^\x00]*$")] | None = None
    source: Annotated[str, Meta(max_length=200, pattern=r"^[^\x00]*$")] | None = None
    reservation_id: UUID | None = None
    tenant: Name | None = None
    user: Name | None = None
    task: Name | None = None
    feature: Name | None = None
    status: Literal["success", "failed"] = "success"
    usage: dict[str, Any] | None = None
    provider: Name | None = None
    raw_usage: dict[str, Any] | None = None
    model: Name | None = None
    is_batch: bool = False
    model_class: Name | None = None
    api_code: Annotated[str, Meta(max_length=64, pattern=r"^[^\x00]*$")] | None = None
    certainty: Literal["FINAL", "PARTIAL", "ESTIMATED", "UNKNOWN"] = "FINAL"
    latency_ms: Annotated[int, Meta(ge=0, le=10**12)] | None = None
    error: Message | None = None
    occurred_at: Annotated[datetime, Meta(tz=True)] | None = None
    metadata: dict[Text, Text] | None = None


class SimulateBody(Struct, forbid_unknown_fields=True):
    """POST /plans/simulate. Without a plan the changes are made to each tenant's own."""

    plan: Name | None = None
    revision: Annotated[int, Meta(ge=1, le=2**31 - 1)] | Literal["draft"] | None = None
    changes: Annotated[dict[Name, bool | Limit | Text | None], Meta(max_length=100)] = msgspec.field(
        default_factory=dict
    )
    tenant: Name | None = None
    days: Annotated[int, Meta(ge=1, le=90)] = 30
    idempotency_key: Key | None = None

    def edits(self) -> list[str]:
        """The changes as PATH=VALUE; null is unlimited."""
        words: dict[object, str] = {None: "unlimited", True: "yes", False: "no"}
        return [
            f"{path}={words[value] if value is None or isinstance(value, bool) else value}"
            for path, value in self.changes.items()
        ]


class Batch(Struct, forbid_unknown_fields=True):
    """The batch forms: each item is parsed by itself, so that one fails alone."""

    items: Annotated[list[msgspec.Raw], Meta(min_length=1, max_length=500)]


def metadata(sent: Mapping[str, str] | None) -> Mapping[str, str] | None:
    """Metadata as kept. Raises Invalid where it is over 1 KiB as JSON."""
    if sent is not None and len(msgspec.json.encode(sent)) > MAX_METADATA_BYTES:
        raise Invalid("metadata", f"At most {MAX_METADATA_BYTES:,} bytes of JSON; keep the rest on your side.")
    return sent


def parse(raw: bytes | msgspec.Raw, into: type[T]) -> T:
    """A body as a struct. Raises Malformed, or Invalid with the field's dotted path."""
    if raw == b"":
        raise Malformed("The body is empty: send JSON.")
    try:
        return msgspec.json.decode(raw, type=into)
    except msgspec.ValidationError as error:
        raise invalid(str(error), into) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        why = str(error).removeprefix("JSON is malformed: ")
        raise Malformed(f"The body is not JSON: {why}.") from None


def convert(value: object, into: type[T]) -> T:
    """A parsed value as a struct. Raises Invalid."""
    try:
        return msgspec.convert(value, type=into, strict=True)
    except msgspec.ValidationError as error:
        raise invalid(str(error), into) from None
