"""The log, its sums and the refusals, as the API shows them: to whom, in which order, and to nobody else."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest
from django.core.exceptions import DisallowedHost
from django.db import connection
from django.http import HttpRequest
from django.test.utils import CaptureQueriesContext

from tenants.models import Role, Scope, Tenant, User
from tests.cast import Company, make_key, make_tenant
from tests.enforcement.api import Api, fields_of
from tests.enforcement.rules import limit
from usage.models import UsageLog
from usage.summaries import GROUPS

LISTS = ["/usage/logs", "/denials"]
READS = [*LISTS, "/usage/summary"]
TASK = "LLM2_DRAFT"
NOW = datetime.now(UTC)
_ids = count(1)


@pytest.fixture
def api(svc: str) -> Api:
    return Api(svc)


def book(api: Api, tenant: str, **fields: Any) -> str:
    """Books usage without a reservation and gives the log row's id."""
    body = {"id": f"e-{next(_ids)}", "tenant": tenant, "task": TASK, "usage": {"input_tokens": 100}} | fields
    answer = api.post("/usage/events", body)
    assert answer.status_code == 200, answer.content
    booked: str = answer.json()["log_id"]
    return booked


def rows(api: Api, path: str, **query: str) -> list[Any]:
    answer = api.get(path, **query)
    assert answer.status_code == 200, answer.content
    found: list[Any] = answer.json()["results"]
    return found


def ids(api: Api, path: str, **query: str) -> list[str]:
    return [row["id"] for row in rows(api, path, **query)]


def text(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


def refuse(api: Api, tenant: str, **fields: Any) -> str:
    """Has a call refused and gives the refusal's id."""
    answer = api.enforce(tenant, TASK, tokens_in=10**6, **fields)
    assert answer["allowed"] is False
    found: str = answer["decision_id"]
    return found


# --- the log ------------------------------------------------------------------


def test_the_log_shows_what_was_booked_and_no_model_of_a_provider(api: Api, acme: Company) -> None:
    permit = api.enforce("ACME", TASK, user="u-17", tokens_in=1200, tokens_out=4000)
    api.commit(
        permit["reservation_id"],
        usage={"input_tokens": 1180, "cached_input_tokens": 80, "output_tokens": 2950, "reasoning_tokens": 50},
        model="gpt-4o", model_class="PRO_L", api_code="OPENAI", latency_ms=8123,
    )  # fmt: skip
    answer = api.get("/usage/logs", tenant="ACME")
    assert b"gpt-4o" not in answer.content
    (row,) = answer.json()["results"]
    stored = UsageLog.objects.get()
    assert row == {
        "id": str(stored.id), "reservation_id": permit["reservation_id"], "recorded_at": text(stored.recorded_at),
        "occurred_at": text(stored.occurred_at), "status": "COMPLETED", "late": False, "certainty": "FINAL",
        "attempt": 0, "user": "u-17", "feature": "PATENT_DRAFTING", "task": TASK, "model_class": "PRO_L",
        "api_code": "OPENAI", "input_tokens": 1180, "cached_input_tokens": 80, "cache_write_tokens": 0,
        "output_tokens": 2950, "reasoning_tokens": 50, "api_calls": 1, "items": 1, "units": 4130,
        "cost": row["cost"], "latency_ms": 8123,
    }  # fmt: skip
    assert float(row["cost"]) == pytest.approx((1100 * 2.5 + 80 * 1.25 + 2950 * 10) / 1e6)


def test_the_log_is_filtered_by_each_of_its_parameters(api: Api, acme: Company) -> None:
    one = book(api, "ACME", user="u-1", model_class="PRO_M", api_code="OPENAI")
    other = book(api, "ACME", user="u-2", task="PATENT_OPEN", status="failed", usage={"api_calls": 1})
    assert ids(api, "/usage/logs", tenant="ACME") == [other, one]
    for query in (
        {"user": "u-1"}, {"feature": "PATENT_DRAFTING"}, {"task": TASK}, {"model_class": "PRO_M"},
        {"api_code": "OPENAI"}, {"status": "COMPLETED"},
    ):  # fmt: skip
        assert ids(api, "/usage/logs", tenant="ACME", **query) == [one], query
    assert ids(api, "/usage/logs", tenant="ACME", user="u-1", status="FAILED") == []
    assert ids(api, "/usage/logs", tenant="ACME", late="false") == [other, one]
    assert ids(api, "/usage/logs", tenant="ACME", late="true") == []


def test_a_name_of_spaces_is_another_user_than_the_same_without(api: Api, acme: Company) -> None:
    book(api, "ACME", user="u")
    spaced = book(api, "ACME", user=" u ")
    assert ids(api, "/usage/logs", tenant="ACME", user=" u ") == [spaced]


def test_the_log_of_a_range_begins_with_its_first_instant_and_ends_before_its_last(api: Api, acme: Company) -> None:
    booked = [book(api, "ACME") for _ in range(3)]
    first, second, third = (row["recorded_at"] for row in reversed(rows(api, "/usage/logs", tenant="ACME")))
    assert first < second < third
    assert ids(api, "/usage/logs", tenant="ACME", recorded_at_after=second) == [booked[2], booked[1]]
    assert ids(api, "/usage/logs", tenant="ACME", recorded_at_before=second) == [booked[0]]
    assert ids(api, "/usage/logs", tenant="ACME", recorded_at_after=second, recorded_at_before=third) == [booked[1]]


def test_the_log_is_also_to_be_had_by_the_time_of_occurrence(api: Api, acme: Company) -> None:
    at = datetime.now(UTC)
    late = book(api, "ACME", occurred_at=text(at - timedelta(days=20)))
    soon = book(api, "ACME", occurred_at=text(at + timedelta(minutes=4)))
    now = book(api, "ACME")
    assert ids(api, "/usage/logs", tenant="ACME", occurred_at_before=text(at - timedelta(days=19))) == [late]
    assert ids(api, "/usage/logs", tenant="ACME", occurred_at_after=text(at - timedelta(days=19))) == [now, soon]
    assert ids(api, "/usage/logs", tenant="ACME", occurred_at_after=text(at + timedelta(minutes=4))) == [soon]
    since, until = text(at - timedelta(days=20)), text(at - timedelta(days=20) + timedelta(seconds=1))
    assert ids(api, "/usage/logs", tenant="ACME", occurred_at_after=since, occurred_at_before=until) == [late]


def test_a_log_in_pages_is_whole_and_new_rows_shift_nothing(api: Api, acme: Company) -> None:
    booked = [book(api, "ACME", user="u-1") for _ in range(5)]
    answer = api.get("/usage/logs", tenant="ACME", user="u-1", page_size="2").json()
    assert answer["previous"] is None
    seen = [[row["id"] for row in answer["results"]]]
    while answer["next"]:
        book(api, "ACME", user="u-1")
        answer = api.client.get(answer["next"], headers=api.headers).json()
        seen.append([row["id"] for row in answer["results"]])
    assert seen == [[booked[4], booked[3]], [booked[2], booked[1]], [booked[0]]]
    back = api.client.get(answer["previous"], headers=api.headers).json()
    assert [row["id"] for row in back["results"]] == [booked[2], booked[1]]
    again = api.client.get(back["next"], headers=api.headers).json()
    assert [row["id"] for row in again["results"]] == [booked[0]]
    back = api.client.get(back["previous"], headers=api.headers).json()
    assert [row["id"] for row in back["results"]] == [booked[4], booked[3]]
    newest = api.client.get(back["previous"], headers=api.headers).json()
    assert len(newest["results"]) == 2
    assert newest["previous"] is None


def test_a_page_looks_only_so_far_for_rows_that_are_rare_and_says_where_it_goes_on(
    api: Api, acme: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("usage.pagination.REACH", 3)
    booked = [book(api, "ACME", user="rare" if number in (0, 1, 9) else "other") for number in range(11)]

    def walk(answer: dict[str, Any], way: str) -> list[list[str]]:
        pages = []
        while answer[way]:
            answer = api.client.get(answer[way], headers=api.headers).json()
            pages.append([row["id"] for row in answer["results"]])
            last.append(answer)
        return pages

    first = api.get("/usage/logs", tenant="ACME", user="rare").json()
    last = [first]
    assert [row["id"] for row in first["results"]] == [booked[9]]
    assert walk(first, "next") == [[], [], [booked[1], booked[0]]]
    assert walk(last[-1], "previous") == [[], [], [booked[9]], []]
    assert walk(last[-2], "next") == [[], [], [booked[1], booked[0]], []]


def test_the_address_of_the_next_page_is_a_path_where_the_host_is_not_a_page_s(
    api: Api, acme: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(2):
        book(api, "ACME")
    assert api.get("/usage/logs", tenant="ACME", page_size="1").json()["next"].startswith("http://testserver/api/")

    def refuse_host(_: HttpRequest) -> str:
        raise DisallowedHost

    monkeypatch.setattr(HttpRequest, "get_host", refuse_host)
    assert api.get("/usage/logs", tenant="ACME", page_size="1").json()["next"].startswith("/api/v1/usage/logs?")


# --- the refusals -------------------------------------------------------------


def test_refusals_are_listed_with_their_numbers_newest_first(api: Api, acme: Company) -> None:
    """Defect 53: the refusal names the limit, what was asked and what is left."""
    limit(acme.tenant, "DAILY_QUOTA", 1000, feature_id="PATENT_DRAFTING")
    first = refuse(api, "ACME", user="u-1")
    answer = api.enforce("ACME", TASK, user="u-2", tokens_in=900, tokens_out=101)
    assert ids(api, "/denials", tenant="ACME") == [answer["decision_id"], first]
    shown = rows(api, "/denials", tenant="ACME", user="u-2")[0]
    assert shown | {"at": None} == {
        "id": answer["decision_id"], "at": None, "user": "u-2", "feature": "PATENT_DRAFTING", "task": TASK,
        "code": "DAILY_QUOTA_EXCEEDED", "message": answer["message"], "binding": answer["binding"], "count": 1,
    }  # fmt: skip
    assert shown["at"].endswith("Z")
    assert ids(api, "/denials", tenant="ACME", code="INPUT_TOO_LARGE") == [first]
    assert ids(api, "/denials", tenant="ACME", task="PATENT_OPEN") == []
    assert len(ids(api, "/denials", tenant="ACME", feature="PATENT_DRAFTING", page_size="1")) == 1


# --- the sums -----------------------------------------------------------------


def summary(api: Api, tenant: str = "ACME", **query: str) -> dict[Any, dict[str, Any]]:
    answer = api.get("/usage/summary", tenant=tenant, **query)
    assert answer.status_code == 200, answer.content
    body = answer.json()
    assert body["as_of"].endswith("Z")
    by_key = {row.pop("key"): row for row in body["results"]}
    for name, total in body["totals"].items():
        if name != "cost":
            assert total == sum(row[name] for row in by_key.values()), name
    return by_key | {"totals": body["totals"]}


def test_sums_count_operations_tokens_money_and_refusals(api: Api, acme: Company) -> None:
    """Defect 32: the owner's usage counts too, and the period asked for is the one summed."""
    permit = api.enforce("ACME", TASK, user="u-1", tokens_in=1000, tokens_out=1000)
    reported = {"input_tokens": 100, "output_tokens": 10}
    api.post(f"/reservations/{permit['reservation_id']}/report", {"usage": reported, "model": "gpt-4o"})
    used = {"input_tokens": 500, "cached_input_tokens": 20, "output_tokens": 50, "reasoning_tokens": 5}
    api.commit(permit["reservation_id"], usage=used, model="gpt-4o")
    book(api, "ACME", user="u-2", task="PATENT_OPEN", usage={"api_calls": 3})
    book(api, "ACME", user="u-2", task="PATENT_OPEN", status="failed", usage={"api_calls": 1})
    held = api.enforce("ACME", TASK, user="u-1", tokens_in=10, tokens_out=10)
    api.post(f"/reservations/{held['reservation_id']}/release")
    refuse(api, "ACME", user="u-1")
    refuse(api, "ACME", user="u-1")
    book(api, "ACME", occurred_at=text(NOW - timedelta(days=34)), user="long ago")

    since = text(NOW - timedelta(hours=1))
    by_user = summary(api, group_by="user", **{"from": since})
    assert by_user["u-1"] == {
        "operations": 1, "failed": 0, "input_tokens": 500, "cached_input_tokens": 20, "cache_write_tokens": 0,
        "output_tokens": 50, "reasoning_tokens": 5, "api_calls": 1, "items": 1, "units": 550,
        "cost": by_user["u-1"]["cost"], "unpriced": 0, "denials": 2,
    }  # fmt: skip
    assert float(by_user["u-1"]["cost"]) == pytest.approx((480 * 2.5 + 20 * 1.25 + 50 * 10) / 1e6)
    assert (by_user["u-2"]["operations"], by_user["u-2"]["failed"], by_user["u-2"]["api_calls"]) == (2, 1, 4)
    assert by_user["u-2"]["cost"] == "0.02"
    assert "long ago" not in by_user
    by_task = summary(api, group_by="task", **{"from": since})
    assert by_task.keys() == {TASK, "PATENT_OPEN", "totals"}
    by_class = summary(api, group_by="model_class", **{"from": since})
    assert by_class.keys() == {"PRO_L", None, "totals"}
    assert by_class[None]["denials"] == 2
    assert summary(api, group_by="feature", **{"from": since}).keys() == {
        "PATENT_DRAFTING",
        "PRIOR_ART_SEARCH",
        "totals",
    }
    assert summary(api, group_by="api_code", **{"from": since}).keys() == {None, "totals"}


@pytest.mark.parametrize("group_by", GROUPS)
def test_where_nothing_happened_there_is_nothing_to_sum(group_by: str, api: Api, acme: Company) -> None:
    since = text(NOW - timedelta(days=1))
    assert summary(api, group_by=group_by, **{"from": since}).keys() == {"totals"}
    refuse(api, "ACME")
    book(api, "ACME")
    assert summary(api, group_by=group_by, **{"from": since})["totals"]["denials"] == 1


def test_a_cost_that_is_not_known_is_null_and_counted(api: Api, acme: Company) -> None:
    """Defect 39: an unknown price is not 0."""
    book(api, "ACME", user="priced", model="gpt-4o", model_class="PRO_L")
    book(api, "ACME", user="unpriced", model="nobody-knows-it")
    by_user = summary(api, group_by="user")
    assert (by_user["priced"]["cost"], by_user["priced"]["unpriced"]) == ("0.00025", 0)
    assert (by_user["unpriced"]["cost"], by_user["unpriced"]["unpriced"]) == (None, 1)
    assert (by_user["totals"]["cost"], by_user["totals"]["unpriced"]) == ("0.00025", 1)
    refuse(api, "ACME", user="refused")
    assert summary(api, group_by="user")["refused"]["cost"] == "0.00"


def test_a_day_is_the_tenants_unless_a_zone_is_asked_for(api: Api, acme: Company) -> None:
    """Defect 21: days in the tenant's zone, everywhere."""
    Tenant.objects.filter(pk=acme.tenant.pk).update(timezone="Asia/Kolkata")
    day = (NOW - timedelta(days=3)).replace(hour=18, minute=29, second=59, microsecond=0)  # 23:59:59 in Kolkata
    book(api, "ACME", occurred_at=text(day), usage={"input_tokens": 1})
    book(api, "ACME", occurred_at=text(day + timedelta(seconds=1)), usage={"input_tokens": 2})
    bounds = {"from": text(day - timedelta(days=1)), "to": text(day + timedelta(days=1))}
    tokens = {key: row["input_tokens"] for key, row in summary(api, **bounds).items()}
    first, second = day.date(), day.date() + timedelta(days=1)
    assert tokens == {first.isoformat(): 1, second.isoformat(): 2, "totals": 3}
    tokens = {key: row["input_tokens"] for key, row in summary(api, tz="UTC", **bounds).items()}
    assert tokens == {first.isoformat(): 3, "totals": 3}
    hours = summary(api, group_by="hour", **bounds)
    assert hours.keys() == {
        text(day.replace(minute=30, second=0)),
        text(day.replace(hour=17, minute=30, second=0)),
        "totals",
    }
    dates = summary(api, **{"from": second.isoformat(), "to": (second + timedelta(days=1)).isoformat()})
    assert dates["totals"]["input_tokens"] == 2


def test_without_a_range_the_running_month_is_summed(api: Api, acme: Company) -> None:
    local = NOW.replace(hour=12)
    Tenant.objects.filter(pk=acme.tenant.pk).update(billing_anchor_day=min(NOW.day, 28))
    if NOW.day > 28:
        local = NOW.replace(day=28)
    begins = local.replace(hour=0, minute=0, second=0, microsecond=0)
    book(api, "ACME", occurred_at=text(begins), usage={"input_tokens": 1})
    book(api, "ACME", occurred_at=text(begins - timedelta(seconds=1)), usage={"input_tokens": 2})
    assert summary(api)["totals"]["input_tokens"] == 1
    assert summary(api, to=text(begins))["totals"]["input_tokens"] == 2


def test_more_keys_than_can_be_listed_are_refused(api: Api, acme: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("usage.summaries._MOST_KEYS", 1)
    book(api, "ACME", user="u-1")
    assert summary(api, group_by="user").keys() == {"u-1", "totals"}
    book(api, "ACME", user="u-2")
    answer = api.get("/usage/summary", tenant="ACME", group_by="user")
    assert (answer.status_code, fields_of(answer.json())) == (422, ["group_by"])


# --- who may see what ---------------------------------------------------------


def two_tenants(api: Api) -> tuple[str, str]:
    """A row and a refusal of ACME's owner and of RIVAL; the ids of ACME's."""
    row, refusal = book(api, "ACME"), refuse(api, "ACME")
    book(api, "RIVAL")
    refuse(api, "RIVAL")
    return row, refusal


@pytest.mark.parametrize("path", READS)
def test_a_stranger_finds_no_tenant_here(path: str, api: Api, acme: Company, rival: Company) -> None:
    row, refusal = two_tenants(api)
    bound = Api(make_key(tenant=acme.tenant))
    for credential in (bound, Api(acme.owner.token)):
        assert credential.get(path, tenant="RIVAL").status_code == 404
        assert credential.get(path, tenant="NOBODY").status_code == 404
        assert rows(credential, path) == rows(credential, path, tenant="ACME") != []
    assert api.get(path, tenant="NOBODY").status_code == 404
    unnamed = api.get(path)
    assert (unnamed.status_code, fields_of(unnamed.json())) == (422, ["tenant"])
    assert ids(bound, "/usage/logs") == [row]
    assert ids(bound, "/denials") == [refusal]
    assert summary(bound)["totals"]["operations"] == 1


@pytest.mark.parametrize("role", [Role.ANALYST, Role.VIEWER])
def test_a_token_shows_what_its_users_role_may_see(role: Role, api: Api, acme: Company) -> None:
    mine, colleague = acme.people[0], acme.people[1]
    User.objects.filter(pk=mine.user.pk).update(role=role)
    token, owner = Api(mine.token), Api(acme.owner.token)
    own = book(api, "ACME", user=str(mine.user.pk))
    others = book(api, "ACME", user=str(colleague.user.pk))
    refused = refuse(api, "ACME", user=str(mine.user.pk))
    refused_too = refuse(api, "ACME", user=str(colleague.user.pk))
    assert ids(token, "/usage/logs") == [own]
    assert ids(token, "/usage/logs", user=str(colleague.user.pk)) == []
    assert ids(token, "/denials") == [refused]
    assert summary(token, group_by="user").keys() == {str(mine.user.pk), "totals"}
    assert ids(owner, "/usage/logs") == [others, own]
    assert ids(owner, "/denials") == [refused_too, refused]
    assert summary(owner, group_by="user").keys() == {str(mine.user.pk), str(colleague.user.pk), "totals"}


@pytest.mark.parametrize("path", READS)
def test_reading_needs_the_scope_to_read(path: str, acme: Company) -> None:
    assert Api(make_key(Scope.READ)).get(path, tenant="ACME").status_code == 200
    refused = Api(make_key(Scope.ENFORCE, Scope.REPORT, Scope.ADMIN)).get(path, tenant="ACME")
    assert (refused.status_code, refused.json()["code"]) == (403, "SCOPE_MISSING")
    assert Api(None).get(path, tenant="ACME").status_code == 401


@pytest.mark.parametrize("path", READS)
def test_a_token_beside_a_key_names_the_tenant(path: str, svc: str, acme: Company, rival: Company) -> None:
    beside = Api(svc, **{"X-ATI-Token": acme.owner.token})
    assert beside.get(path).status_code == 200
    assert beside.get(path, tenant="RIVAL").status_code == 404
    assert Api(svc, **{"X-ATI-Token": acme.invitation}).get(path, tenant="ACME").status_code == 401


# --- what cannot be asked -----------------------------------------------------

FIRST, SECOND = "2026-11-24T10:00:00Z", "2026-11-24T10:00:01Z"
BAD: list[tuple[str, Mapping[str, str], str]] = [
    ("/usage/logs", {"task": "LLM9"}, "task"),
    ("/usage/logs", {"feature": "llm"}, "feature"),
    ("/usage/logs", {"model_class": "gpt-4o"}, "model_class"),
    ("/usage/logs", {"status": "DONE"}, "status"),
    ("/usage/logs", {"late": "maybe"}, "late"),
    ("/usage/logs", {"user": "u" * 129}, "user"),
    ("/usage/logs", {"user": "u\x00"}, "user"),
    ("/usage/logs", {"user": ""}, "user"),
    ("/usage/logs", {"api_code": "a" * 65}, "api_code"),
    ("/usage/logs", {"recorded_at_after": "yesterday"}, "recorded_at_after"),
    ("/usage/logs", {"recorded_at_after": "2026-11-24T10:00:00"}, "recorded_at_after"),
    ("/usage/logs", {"recorded_at_before": "0001-01-01T00:00:00+23:59"}, "recorded_at_before"),
    ("/usage/logs", {"recorded_at_before": "9999-12-31T23:59:59-23:59"}, "recorded_at_before"),
    ("/usage/logs", {"recorded_at_after": SECOND, "recorded_at_before": FIRST}, "recorded_at_before"),
    ("/usage/logs", {"recorded_at_after": FIRST, "recorded_at_before": FIRST}, "recorded_at_before"),
    ("/usage/logs", {"occurred_at_after": SECOND, "occurred_at_before": FIRST}, "occurred_at_before"),
    ("/usage/logs", {"occurred_at_after": "1970-01-01T00:00:00Z"}, "occurred_at_after"),
    ("/usage/logs", {"occurred_at_before": "soon"}, "occurred_at_before"),
    ("/usage/logs", {"cursor": "garbage"}, "cursor"),
    ("/usage/logs", {"cursor": "é"}, "cursor"),
    ("/usage/logs", {"cursor": "bjEyMw=="}, "cursor"),  # "n123"
    ("/usage/logs", {"page_size": "0"}, "page_size"),
    ("/usage/logs", {"page_size": "501"}, "page_size"),
    ("/usage/logs", {"page_size": "٣"}, "page_size"),
    ("/usage/logs", {"page_size": "9" * 1000}, "page_size"),
    ("/usage/logs", {"tasks": TASK}, "tasks"),
    ("/usage/logs", {"tenant": "\x00"}, "tenant"),
    ("/usage/logs", {"\x00": "1"}, "query"),
    ("/denials", {"code": "NO"}, "code"),
    ("/denials", {"status": "COMPLETED"}, "status"),
    ("/denials", {"cursor": "cHg="}, "cursor"),
    ("/usage/summary", {"group_by": "plan"}, "group_by"),
    ("/usage/summary", {"tz": "Mars/Phobos"}, "tz"),
    ("/usage/summary", {"tz": "../etc/passwd"}, "tz"),
    ("/usage/summary", {"from": "now"}, "from"),
    ("/usage/summary", {"from": "0001-01-01"}, "from"),
    ("/usage/summary", {"to": "9999-12-31"}, "to"),
    ("/usage/summary", {"to": "2026-02-30"}, "to"),
    ("/usage/summary", {"from": "2026-11-02", "to": "2026-11-01"}, "to"),
    ("/usage/summary", {"from": "2026-11-02", "to": "2026-11-02"}, "to"),
    ("/usage/summary", {"from": "9000-01-01"}, "from"),
    ("/usage/summary", {"from": "2020-01-01", "to": "2026-01-01"}, "from"),
    ("/usage/summary", {"from": "2026-01-01", "to": "2026-03-01", "group_by": "hour"}, "from"),
    ("/usage/summary", {"user": "u-1"}, "user"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "query", "field"), BAD)
def test_what_cannot_be_asked_is_refused_by_name(
    path: str, query: dict[str, str], field: str, api: Api, acme: Company
) -> None:
    answer = api.get(path, **({"tenant": "ACME"} | query))
    assert answer.status_code == 422, answer.content
    assert answer["Content-Type"] == "application/problem+json"
    assert answer.json()["code"] == "INVALID"
    assert fields_of(answer.json()) == [field]


def test_a_parameter_that_comes_twice_is_refused(api: Api, acme: Company) -> None:
    answer = api.client.get("/api/v1/usage/logs?tenant=ACME&user=a&user=b", headers=api.headers)
    assert (answer.status_code, fields_of(answer.json())) == (422, ["user"])


def test_an_unknown_code_is_answered_with_those_that_are_known(api: Api, acme: Company) -> None:
    answer = api.get("/usage/logs", tenant="ACME", task="%s %d")
    assert "%s %d is not known. Known: " in answer.json()["detail"]
    assert TASK in answer.json()["detail"]


# --- cost ---------------------------------------------------------------------


@pytest.mark.parametrize(("path", "queries"), [("/usage/logs", 3), ("/denials", 3), ("/usage/summary", 7)])
def test_a_read_takes_the_same_few_queries_however_much_there_is(
    path: str, queries: int, api: Api, acme: Company
) -> None:
    """The caller's numbers, the tenant's numbers, and the read itself.

    For sums that is how far the roll-ups are and the usage, in a savepoint as this is a test, and the refusals.
    """
    make_tenant("OTHER")
    api.get(path, tenant="ACME")
    for expected_rows in (1, 6):
        for number in range(expected_rows):
            book(api, "ACME", user=f"u-{number}")
            refuse(api, "ACME", user=f"u-{number}")
        with CaptureQueriesContext(connection) as captured:
            assert api.get(path, tenant="ACME").status_code == 200
        assert len(captured) == queries, [query["sql"] for query in captured]
