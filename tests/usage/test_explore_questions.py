"""Explore: who may ask what, and what it makes of questions that make no sense."""

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plans.models import LLMModel
from plans.periods import Calendar
from tenants.models import Tenant, User
from tests.cast import Company
from tests.console import browser
from tests.enforcement.api import Api
from tests.usage.exploring import at_page, book, csv_of, shown, table, text_of, use
from usage.models import UsageLog
from usage.pages.explore import ranges
from usage.pages.explore import shown as vocabulary
from usage.pages.explore.amounts import Sums, joined


@pytest.fixture
def used(api: Api, acme: Company) -> Company:
    """A tenant with some usage of two features, by three users and nobody."""
    return use(api, acme)


# --- who sees what ------------------------------------------------------------


def test_who_sees_their_own_usage_sees_no_other_and_cannot_split_by_person(used: Company) -> None:
    analyst = used.people[0]
    page = at_page(analyst)
    assert table(page)["Total"][0] == "11"
    assert "You see your own usage." in text_of(page)
    assert 'value="user"' not in page.content.decode()
    split = at_page(analyst, group_by="user")
    assert split.status_code == 422
    assert "u-1" not in split.content.decode()
    assert table(at_page(analyst, user="u-1"))["Total"][0] == "11"
    assert [row["tokens"] for row in csv_of(analyst, group_by="task", user="u-1")] == ["11"]
    User.objects.filter(pk=analyst.user.pk).update(is_shown_all_usage=True)
    analyst.user.refresh_from_db()
    assert "u-1" in table(at_page(analyst, group_by="user"))


def test_a_stranger_finds_nothing_and_a_visitor_logs_in(used: Company, rival: Company) -> None:
    assert at_page(rival.owner).status_code == 404
    assert at_page(rival.owner, format="csv").status_code == 404
    visitor = browser().get("/t/ACME/explore/")
    assert visitor.status_code == 302
    assert "login" in visitor["Location"]
    assert "Total" not in table(at_page(rival.owner, "RIVAL"))


def test_no_model_of_a_provider_is_named(used: Company) -> None:
    assert UsageLog.objects.filter(model="gpt-4o").exists()
    known = [model for model in LLMModel.objects.values_list("model_id", flat=True) if len(model) > 3]
    pages = [at_page(used.owner, group_by=group).content.decode() for group in ("task", "model_class", "status")]
    pages.append(at_page(used.owner, group_by="model_class", format="csv").getvalue().decode())
    for model in known:
        assert not any(re.search(rf"\b{re.escape(model)}\b", page) for page in pages), model


# --- no address breaks it -----------------------------------------------------


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"group_by": "planet"}, "“planet” is not known here"),
        ({"measure": "love"}, "“love” is not known here"),
        ({"range": "eternity"}, "“eternity” is not known here"),
        ({"step": "second"}, "“second” is not known here"),
        ({"compare": "maybe"}, "“maybe” is not known here"),
        ({"feature": "NOPE"}, "“NOPE” is not known here"),
        ({"task": "NOPE"}, "“NOPE” is not known here"),
        ({"model_class": "gpt-4o"}, "“gpt-4o” is not known here"),
        ({"status": "DONE"}, "“DONE” is not known here"),
        ({"measure": "denials", "code": "NOPE", "group_by": "none"}, "“NOPE” is not known here"),
        ({"user": "x" * 129}, "at most 128 characters"),
        ({"user": "a\x00b"}, "Null characters are not allowed"),
        ({"page": "0"}, "greater than or equal to 1"),
        ({"page": "first"}, "Enter a whole number"),
        ({"range": "custom"}, "Say which day"),
        ({"range": "custom", "first": "2026-11-01"}, "Say which day"),
        ({"range": "custom", "first": "yesterday", "last": "2026-11-01"}, "A day such as 2026-11-24."),
        ({"range": "custom", "first": "2026-02-30", "last": "2026-03-01"}, "A day such as 2026-11-24."),
        ({"range": "custom", "first": "2025-11-02", "last": "2025-11-01"}, "must not come before the first day"),
        ({"range": "custom", "first": "0001-01-01", "last": "0001-01-02"}, "nothing from before 2000"),
        ({"range": "custom", "first": "9999-12-30", "last": "9999-12-31"}, "yet to come"),
        ({"range": "custom", "first": "2025-01-01", "last": "9999-12-31"}, "the end of the running period"),
        ({"range": "custom", "first": "2024-01-01", "last": "2025-01-01"}, "At most 366 days"),
        ({"range": "90d", "step": "hour"}, "At most 14 days can be shown by the hour"),
        ({"measure": "denials", "group_by": "model_class"}, "can be split by"),
        ({"measure": "tokens", "group_by": "code"}, "can be split by"),
        ({"measure": "denials", "group_by": "none", "status": "FAILED"}, "cannot be filtered by it"),
        ({"measure": "tokens", "code": "RATE_LIMITED"}, "cannot be filtered by it"),
        ({"feature": "EMBEDDINGS", "task": "LLM2_DRAFT"}, "It belongs to Patent drafting"),
    ],
)
def test_a_question_that_makes_no_sense_is_answered_beside_its_field(
    acme: Company, query: Mapping[str, str], said: str
) -> None:
    page = at_page(acme.owner, **query)
    assert page.status_code == 422
    assert said in text_of(page)
    assert 'class="errorlist"' in page.content.decode()
    assert at_page(acme.owner, format="csv", **query).status_code == 422


def test_what_is_left_empty_or_is_not_ours_stands_at_its_default(used: Company) -> None:
    plain = table(at_page(used.owner))
    assert table(at_page(used.owner, measure="", first="", user="", utm_source="mail")) == plain


@pytest.mark.parametrize("zone", ["Asia/Kathmandu", "America/St_Johns", "Pacific/Kiritimati"])
@pytest.mark.parametrize("range_", ["today", "7d", "30d", "90d", "period", "last_period"])
def test_every_range_has_the_days_of_the_tenants_zone(acme: Company, api: Api, zone: str, range_: str) -> None:
    """Defect 21: days in the tenant's zone, everywhere."""
    Tenant.objects.filter(pk=acme.tenant.pk).update(timezone=zone)
    book(api)
    book(api, days_ago=30)
    page = at_page(acme.owner, range=range_, step="day")
    assert page.status_code == 200
    if range_ in ("today", "7d"):
        drawn = shown(page)
        assert drawn["series"][0]["values"][-1] == 100
        assert drawn["x"] == f"Day ({zone})"


def test_a_longest_range_and_a_far_past_are_shown(acme: Company) -> None:
    assert at_page(acme.owner, range="custom", first="2024-01-01", last="2024-12-31").status_code == 200
    assert at_page(acme.owner, range="custom", first="2000-01-01", last="2000-01-02").status_code == 200


_WORDS = st.one_of(
    st.sampled_from(["", "0", "-1", "1e9", "2026-11-01", "9999-12-31", "0001-01-01", "LLM2_DRAFT", "FAILED", "custom"]),
    st.text(max_size=12),
)
_FIELDS = ("measure", "group_by", "range", "first", "last", "step", "compare", "feature", "task", "model_class",
           "status", "user", "code", "page", "format", "table")  # fmt: skip
_KNOWN = {
    "measure": list(vocabulary.MEASURES), "group_by": list(vocabulary.GROUPS), "range": list(ranges.PRESETS),
    "step": ["auto", "day", "hour"], "compare": ["yes", "no"], "page": ["1", "2", "999999"],
    "format": ["csv", "ndjson", "pdf"], "feature": ["PATENT_DRAFTING"], "task": ["LLM2_DRAFT"],
}  # fmt: skip


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    query=st.fixed_dictionaries(
        {}, optional={name: st.one_of(st.sampled_from(_KNOWN.get(name, [""])), _WORDS) for name in _FIELDS}
    )
)
def test_no_address_breaks_it(used: Company, query: dict[str, str]) -> None:
    assert at_page(used.owner, **query).status_code in (200, 302, 422), query


# --- the time -----------------------------------------------------------------

BERLIN = Calendar("Europe/Berlin", 15)


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type,misc]  # the parts of a date


def test_a_running_period_is_compared_with_as_much_of_the_one_before() -> None:
    found = ranges.preset("period", BERLIN, utc(2026, 11, 24, 13, 2))
    assert (found.first, found.last) == (date(2026, 11, 15), date(2026, 12, 14))
    assert found.earlier_since == utc(2026, 10, 14, 22)
    assert found.earlier_until - found.earlier_since == timedelta(days=9, hours=14, minutes=15)
    assert found.before == "the period before"


def test_a_period_that_is_over_is_compared_with_no_more_days_than_it_has() -> None:
    found = ranges.preset("last_period", Calendar("UTC", 1), utc(2026, 3, 5))
    assert (found.since, found.until) == (utc(2026, 2, 1), utc(2026, 3, 1))
    assert (found.earlier_since, found.earlier_until) == (utc(2026, 1, 1), utc(2026, 1, 29))


def test_days_of_ones_own_are_compared_with_as_many_before_though_the_clocks_change() -> None:
    found = ranges.custom(date(2026, 10, 24), date(2026, 10, 26), BERLIN, utc(2026, 11, 24))
    assert (found.since, found.until) == (utc(2026, 10, 23, 22), utc(2026, 10, 26, 23))
    assert (found.earlier_since, found.earlier_until) == (utc(2026, 10, 20, 22), found.since)
    assert (found.days, found.before) == (3, "the 3 days before")


# --- latencies ----------------------------------------------------------------


def test_of_what_is_left_out_the_rest_is_left() -> None:
    one = Sums(operations=2, cost=5, histogram=(1,) + (0,) * 63)
    other = Sums(operations=3, cost=None, unpriced=1, histogram=(0, 4) + (0,) * 62)
    both = joined([one, other])
    assert (both.operations, both.cost, both.latencies) == (5, 5, 5)
    left = both.plus(one, -1)
    assert (left.operations, left.cost, left.unpriced, left.histogram) == (3, None, 1, other.histogram)
    assert left.known_cost is None


def test_without_a_latency_there_is_none_to_tell() -> None:
    assert Sums().latency(0.5) is None
    assert Sums(histogram=(0,) * 64).latency(0.95) is None
