"""A month of one organisation's work, booked through the API; what the pictures of the pages show."""

import random
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2

from alerts import destinations, owners
from alerts.destinations import Telling
from alerts.models import ChannelKind, Digest, Report, Severity
from tenants.models import User

DAYS = 30
NAMES = {"owner": "Ada Lindqvist", "user1": "Bruno Okafor", "user2": "Chiyo Tanaka"}
# Per working day and person: task, how often, tokens in and out, model.
WORK = (
    ("LLM2_DRAFT", 4, (9_000, 3_600), "gpt-4o"),
    ("LLM1_PRIOR_ART", 2, (14_000, 1_200), "claude-sonnet-5-5"),
    ("LLM4_NOVELTY_SCREEN", 2, (5_000, 600), "claude-sonnet-5-5"),
    ("LLM3_DIAGRAM", 1, (2_500, 900), "claude-sonnet-5-5"),
    ("PATENT_OPEN", 3, None, None),
)

DRAFT = {"input_tokens": 12_000, "max_output_tokens": 5_000}


def make(address: str, key: str, now: datetime) -> None:
    """Give the people of the demo tenant names, and it a month of usage up to `now`. Raises on any refused call."""
    people = [User.objects.get(email=f"{person}@acme.example") for person in NAMES]
    for user, name in zip(people, NAMES.values(), strict=True):
        user.name = name
        user.save(update_fields=["name"])
    _say_who_is_told(people[0])
    with httpx2.Client(base_url=f"{address}/api/v1", headers={"Authorization": f"Bearer {key}"}, timeout=60) as api:
        for day in range(DAYS, -1, -1):
            events = [each for each in _day(people, now - timedelta(days=day)) if each["occurred_at"] < now.isoformat()]
            if events:
                _post(api, "/usage/events", sorted(events, key=lambda each: str(each["occurred_at"])))
        _today(api, people)


def _say_who_is_told(owner: User) -> None:
    """The owner, as where nobody says so, and the people of the budget."""
    owners.have_told()
    telling = Telling(
        name="Billing", severities=(Severity.WARNING, Severity.CRITICAL), digest=Digest.DAILY, report=Report.MONTHLY
    )
    destinations.add(owner.tenant, kind=ChannelKind.EMAIL, address="billing@acme.example", telling=telling)


def _day(people: list[User], day: datetime) -> Iterator[dict[str, Any]]:
    chance = random.Random(f"{day:%j}")
    busy = 0.15 if day.weekday() >= 5 else 1.0
    for weight, user in zip((1.6, 1.0, 0.5), people, strict=True):
        for task, often, tokens, model in WORK:
            for _ in range(round(often * weight * busy * chance.uniform(0.4, 1.7))):
                at = day.astimezone(UTC).replace(hour=8, minute=0) + timedelta(minutes=chance.randrange(600))
                yield _event(user, task, at, chance, tokens, model)


def _event(
    user: User, task: str, at: datetime, chance: random.Random, tokens: tuple[int, int] | None, model: str | None
) -> dict[str, Any]:
    size = chance.uniform(0.4, 1.8)
    usage = {"api_calls": 1}
    if tokens:
        usage |= {"input_tokens": round(tokens[0] * size), "output_tokens": round(tokens[1] * size)}
    return {
        "id": f"{at:%j%H%M}-{chance.randrange(10**9)}", "source": "demo", "tenant": "ACME", "user": str(user.id),
        "task": task, "usage": usage, "model": model, "occurred_at": at.isoformat(),
        "latency_ms": round(2_000 * size),
    }  # fmt: skip


def _today(api: httpx2.Client, people: list[User]) -> None:
    """Some calls that are permitted and committed, one that is under way, and two that are refused."""
    for number in range(9):
        permit = _enforce(api, people[number % 3], f"today-{number}", "LLM2_DRAFT")
        used = {"input_tokens": 8_000 + 150 * number, "output_tokens": 2_400 + 80 * number}
        commit = {"status": "success", "usage": used, "model": "gpt-4o", "latency_ms": 6_000 + 200 * number}
        _post(api, f"/reservations/{permit['reservation_id']}/commit", commit)
    _enforce(api, people[0], "under-way", "LLM2_DRAFT")
    _enforce(api, people[1], "too-many", "PATENT_OPEN", {"api_calls": 120})
    _enforce(api, people[2], "not-in-the-plan", "EMBED", {"input_tokens": 4_000})


def _enforce(
    api: httpx2.Client, user: User, key: str, task: str, estimate: Mapping[str, int] = DRAFT
) -> dict[str, Any]:
    ask = {"tenant": "ACME", "user": str(user.id), "task": task, "estimate": dict(estimate)}
    return _post(api, "/enforce", ask, {"Idempotency-Key": key})


def _post(api: httpx2.Client, path: str, body: object, headers: dict[str, str] | None = None) -> dict[str, Any]:
    answer = api.post(path, json=body, headers=headers or {})
    if answer.status_code != 200:
        raise RuntimeError(f"{path}: {answer.status_code} {answer.text}")
    found: dict[str, Any] = answer.json()
    return found
