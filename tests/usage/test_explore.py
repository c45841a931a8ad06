"""Explore: its numbers are the ledger's, its address says all it shows, and no address breaks it."""

import csv
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from html import unescape
from itertools import count
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from plans.models import LLMModel
from tenants.models import Tenant, User
from tests.cast import Company, Person
from tests.console import browser
from tests.enforcement.api import Api
from tests.enforcement.rules import limit
from usage import rollups
from usage.models import UsageLog

NOW = datetime.now(UTC)
_ids = count(1)


def book(api: Api, user: str | None = "u-1", *, days_ago: float = 0, **fields: Any) -> None:
    """Books usage without a reservation."""
    body = {
        "id": f"x-{next(_ids)}", "tenant": "ACME", "task": "LLM2_DRAFT", "usage": {"input_tokens": 100},
        "occurred_at": (datetime.now(UTC) - timedelta(days=days_ago)).isoformat(), "model": "gpt-4o",
    } | ({"user": user} if user else {}) | fields  # fmt: skip
    answer = api.post("/usage/events", body)
    assert answer.status_code == 200, answer.content


def at_page(person: Person | User, ati_id: str = "ACME", **query: str) -> Any:
    client: Client = browser()
    client.force_login(person.user if isinstance(person, Person) else person)
    return client.get(f"/t/{ati_id}/explore/", query)


def text_of(answer: Any) -> str:
    return unescape(" ".join(re.sub(r"<[^>]+>", " ", answer.content.decode()).split()))


def shown(answer: Any) -> dict[str, Any]:
    """What the page draws."""
    assert answer.status_code == 200, text_of(answer)[:500]
    found = re.search(r'<script id="explore-chart" type="application/json">(.*?)</script>', answer.content.decode())
    assert found, text_of(answer)
    data: dict[str, Any] = json.loads(found[1])
    return data


def table(answer: Any) -> dict[str, list[str]]:
    """The table under the chart: the cells of each row by its heading."""
    rows = re.findall(
        r"<tr><th scope=\"row\">(.*?)</th>(.*?)</tr>", answer.content.decode().split('<details class="explore-times')[0]
    )
    strip = re.compile(r"<[^>]+>")
    return {
        unescape(strip.sub("", name)): [unescape(strip.sub("", cell)) for cell in re.findall(r"<td.*?</td>", cells)]
        for name, cells in rows
    }  # fmt: skip


def csv_of(person: Person, **query: str) -> list[dict[str, str]]:
    answer = at_page(person, format="csv", **query)
    assert answer.status_code == 200
    assert "attachment" in answer["Content-Disposition"]
    return list(csv.DictReader(answer.getvalue().decode().splitlines()))


def figure(number: int) -> str:
    return f"{number:,}"


@pytest.fixture
def used(api: Api, acme: Company) -> Company:
    """A tenant with some usage of two features, by three users and nobody, some of it rolled up."""
    book(
        api, "u-1", usage={"input_tokens": 1000, "cached_input_tokens": 200, "output_tokens": 300}, model_class="PRO_L"
    )
    book(api, "u-2", usage={"input_tokens": 50, "output_tokens": 5}, status="failed")
    book(api, "u-1", task="PATENT_OPEN", usage={"api_calls": 3})
    book(api, None, usage={"input_tokens": 7, "output_tokens": 70}, latency_ms=800)
    book(api, str(acme.people[0].user.id), usage={"input_tokens": 11}, latency_ms=1200)
    permit = api.enforce("ACME", "LLM2_DRAFT", user="u-1", tokens_in=100, tokens_out=900)
    api.commit(permit["reservation_id"], usage={"input_tokens": 100, "output_tokens": 150}, model="gpt-4o")
    for _ in range(2):
        assert not api.enforce("ACME", "LLM2_DRAFT", user="u-1", tokens_in=10**6)["allowed"]
    return acme


# --- the numbers --------------------------------------------------------------

_SUMMED = {
    "tokens": "sum(input_tokens + output_tokens)",
    "tokens_in": "sum(input_tokens)",
    "tokens_cached": "sum(cached_input_tokens)",
    "tokens_out": "sum(output_tokens)",
    "operations": "count(*) FILTER (WHERE status IN ('COMPLETED', 'FAILED'))",
    "api_calls": "sum(api_calls)",
    "cost": "sum(cost)",
}
_API_NAMES = {"tokens_in": "input_tokens", "tokens_cached": "cached_input_tokens", "tokens_out": "output_tokens"}


@pytest.mark.parametrize("measure", _SUMMED)
@pytest.mark.parametrize("group_by", ["none", "feature", "task", "model_class", "user", "status"])
def test_page_file_and_api_equal_the_log(used: Company, api: Api, measure: str, group_by: str) -> None:
    """Defect 32: totals on pages and in the API are the ledger's."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {_SUMMED[measure]} FROM usage_usagelog WHERE tenant_id = %s", [used.tenant.id])
        (logged,) = cursor.fetchone()
    page = at_page(used.owner, measure=measure, group_by=group_by, range="period")
    told = api.get("/usage/summary", tenant="ACME").json()["totals"]
    if measure == "cost":
        assert float(told["cost"]) * 10**9 == pytest.approx(logged)
        assert float(table(page)["Total"][0]) * 10**9 == pytest.approx(logged)
    else:
        names = {"tokens": ("input_tokens", "output_tokens")}.get(measure, (_API_NAMES.get(measure, measure),))
        assert logged == sum(told[name] for name in names)
        assert table(page)["Total"][0] == figure(logged)
    drawn = sum(value for series in shown(page)["series"] for value in series["values"])
    scale = 10**9 if measure == "cost" else 1
    assert drawn * scale == pytest.approx(int(logged))
    rows = csv_of(used.owner, measure=measure, group_by=group_by, range="period")
    assert sum(float(row[measure]) for row in rows) * scale == pytest.approx(int(logged))


def test_what_is_rolled_up_and_what_is_not_yet_are_one_sum(committed: None, api: Api, acme: Company) -> None:
    book(api, usage={"input_tokens": 1000})
    book(api, usage={"input_tokens": 300}, days_ago=2)
    assert rollups.fill() == 2
    book(api, "u-2", usage={"input_tokens": 7})
    page = at_page(acme.owner, group_by="user", range="7d")
    assert {name: cells[0] for name, cells in table(page).items()} == {"u-1": "1,300", "u-2": "7", "Total": "1,307"}
    assert [sum(each["values"]) for each in shown(page)["series"]] == [1300, 7]


def test_refusals_are_counted_by_feature_person_and_reason(used: Company, api: Api) -> None:
    for group_by, name in (("feature", "Patent drafting"), ("user", "u-1"), ("code", "Input too large")):
        page = at_page(used.owner, measure="denials", group_by=group_by)
        assert table(page)[name][0] == table(page)["Total"][0] == "2"
        assert shown(page)["series"][0]["name"] == name
    assert api.get("/usage/summary", tenant="ACME").json()["totals"]["denials"] == 2


def test_latencies_are_told_to_two_digits_and_drawn_as_lines(used: Company) -> None:
    page = at_page(used.owner, measure="latency_p95", group_by="task")
    drawn = shown(page)
    assert (drawn["kind"], drawn["y"]) == ("lines", "Milliseconds")
    (value,) = [value for value in drawn["series"][0]["values"] if value is not None]
    assert value == pytest.approx(1200, rel=0.1)
    assert table(page)["Draft"][0] == figure(value)


def test_what_was_used_of_what_was_held_is_a_share(used: Company) -> None:
    page = at_page(used.owner, measure="efficiency", group_by="none")
    assert shown(page)["y"] == "Used of what was held, %"
    assert table(page)["Total"][0] == "25.0 %"


def test_units_are_shown_of_one_feature_and_by_their_name(used: Company) -> None:
    page = at_page(used.owner, measure="units", feature="PRIOR_ART_SEARCH", group_by="task")
    assert table(page)["Total"][0] == "3"
    assert shown(page)["y"] == "Units (API calls)"
    for mixed in (at_page(used.owner, measure="units"), at_page(used.owner, measure="units", user="u-1")):
        assert mixed.status_code == 422
        assert "choose one feature" in text_of(mixed)


def test_a_cost_that_is_not_known_is_no_zero_and_is_counted(api: Api, acme: Company) -> None:
    """Defect 39: an unknown price is not 0."""
    book(api, model="nobody-knows-it")
    page = at_page(acme.owner, measure="cost", group_by="user")
    assert table(page)["u-1"][0] == "–"
    assert "1 booking without a known price is not in the cost" in text_of(page)


def test_the_first_six_are_series_of_their_own_and_the_rest_is_other(api: Api, acme: Company) -> None:
    for number in range(1, 9):
        book(api, f"u-{number}", usage={"input_tokens": number * 100})
    page = at_page(acme.owner, group_by="user")
    series = shown(page)["series"]
    assert [each["name"] for each in series] == ["u-8", "u-7", "u-6", "u-5", "u-4", "u-3", "Other"]
    assert sum(series[-1]["values"]) == 300
    assert series[-1]["isOther"]
    assert list(table(page)) == [f"u-{number}" for number in range(8, 0, -1)] + ["Total"]


def test_thousands_of_people_are_shown_in_pages_and_the_file_has_all(api: Api, acme: Company) -> None:
    for number in range(55):
        book(api, f"u-{number:02}", usage={"input_tokens": 1000 - number})
    first, second = at_page(acme.owner, group_by="user"), at_page(acme.owner, group_by="user", page="2")
    assert len(table(first)) == 51
    assert list(table(second)) == ["u-50", "u-51", "u-52", "u-53", "u-54", "Total"]
    assert table(first)["Total"] == table(second)["Total"]
    assert "1 to 50 of 55" in text_of(first)
    assert len(csv_of(acme.owner, group_by="user")) == 55


def test_a_page_is_few_queries_however_much_there_is(used: Company, api: Api) -> None:
    def queries() -> int:
        with CaptureQueriesContext(
            connection,
        ) as captured:
            at_page(used.owner, group_by="user")
        return len(captured)

    few = queries()
    for number in range(30):
        book(api, f"more-{number}")
    assert queries() <= few


# --- what it says -------------------------------------------------------------


def test_the_title_says_how_it_changed_and_the_table_by_how_much(api: Api, acme: Company) -> None:
    book(api, usage={"input_tokens": 1420})
    book(api, usage={"input_tokens": 1000}, days_ago=7.1)
    page = at_page(acme.owner, range="7d")
    assert shown(page)["title"] == "Tokens rose 42 % against the 7 days before"
    assert table(page)["Patent drafting"] == ["1,420", "100.0 %", "1,000", "+42.0 %"]
    assert sum(value or 0 for value in shown(page)["before"]["values"]) == 1000
    alone = at_page(acme.owner, range="7d", compare="no")
    assert shown(alone)["before"] is None
    assert table(alone)["Total"] == ["1,420", "100.0 %"]


def test_of_a_day_under_way_only_what_has_passed_is_compared(api: Api, acme: Company) -> None:
    book(api, usage={"input_tokens": 100})
    book(api, usage={"input_tokens": 70}, days_ago=1)
    book(api, usage={"input_tokens": 1000}, days_ago=0.9)
    if NOW.hour >= 21 or NOW.hour < 1:
        pytest.skip("the earlier day ends too soon")
    assert table(at_page(acme.owner, range="today"))["Total"][2] == "70"


def test_without_a_comparison_the_title_says_what_makes_up_most(used: Company) -> None:
    title = shown(at_page(used.owner, measure="api_calls", compare="no", group_by="task"))["title"]
    assert title == "Draft makes up 57 % of the API calls"
    assert shown(at_page(used.owner, group_by="none", compare="no"))["title"] == "Tokens, by day"


def test_a_daily_quota_is_a_line_where_it_can_be_seen_and_a_sentence_where_not(used: Company) -> None:
    limit(used.tenant, "DAILY_QUOTA", 2000, feature_id="PATENT_DRAFTING")
    drawn = shown(at_page(used.owner, feature="PATENT_DRAFTING"))
    assert drawn["limit"] == {"name": "daily limit, 2,000", "value": 2000}
    assert shown(at_page(used.owner, feature="PATENT_DRAFTING", status="COMPLETED"))["limit"] is None
    assert shown(at_page(used.owner))["limit"] is None
    limit(used.tenant, "DAILY_BUDGET", 10**12)
    page = at_page(used.owner, measure="cost")
    assert shown(page)["limit"] is None
    assert "The daily budget, USD 1,000.00 is far above what is shown." in text_of(page)


def test_the_end_of_the_period_and_now_are_marked(used: Company) -> None:
    marks = shown(at_page(used.owner, range="period"))["marks"]
    assert [mark["name"] for mark in marks] == ["period ends", "now"]
    assert marks[1]["at"] < marks[0]["at"]


def test_where_there_is_nothing_the_page_says_what_will_be_there(acme: Company) -> None:
    page = at_page(acme.owner)
    assert page.status_code == 200
    assert "<canvas" not in page.content.decode()
    assert "Look at the last 90 days" in text_of(page)
    assert "Take the filters away" in text_of(at_page(acme.owner, status="FAILED"))
    assert "was refused" in text_of(at_page(acme.owner, measure="denials", group_by="none"))


def test_filters_are_chips_that_can_be_taken_away_and_rows_lead_further(used: Company) -> None:
    page = at_page(used.owner, feature="PATENT_DRAFTING", group_by="task", page="1").content.decode()
    assert 'class="chip" href="?group_by=task"' in page
    assert 'href="?feature=PATENT_DRAFTING&amp;task=LLM2_DRAFT&amp;group_by=model_class"' in page


def test_the_tenants_people_are_called_by_their_names(used: Company) -> None:
    person = used.people[0].user
    person.name = "Ada Lovelace"
    person.save(update_fields=["name"])
    assert table(at_page(used.owner, group_by="user"))["Ada Lovelace"][0] == "11"
    assert "Ada Lovelace" in text_of(at_page(used.owner, user=str(person.id), group_by="task"))


# --- files --------------------------------------------------------------------


def test_a_file_has_the_rows_of_the_table_with_the_same_numbers(used: Company) -> None:
    page = table(at_page(used.owner, group_by="user"))
    rows = csv_of(used.owner, group_by="user")
    assert {row["name"]: figure(int(row["tokens"])) for row in rows} == {
        name: cells[0] for name, cells in page.items() if name != "Total"
    }
    lines = at_page(used.owner, group_by="user", format="ndjson").getvalue().splitlines()
    assert [str(json.loads(line)["tokens"]) for line in lines] == [row["tokens"] for row in rows]


def test_a_file_of_the_chart_has_a_row_for_each_bar_and_series(used: Company) -> None:
    drawn = shown(at_page(used.owner, group_by="task", range="7d"))
    rows = csv_of(used.owner, group_by="task", range="7d", table="times")
    assert len(rows) == 7 * len(drawn["series"])
    assert rows[0].keys() == {"day", "task", "name", "tokens"}
    for series in drawn["series"]:
        assert [int(row["tokens"]) for row in rows if row["name"] == series["name"]] == series["values"]


def test_a_name_that_a_spreadsheet_would_calculate_is_marked(api: Api, acme: Company) -> None:
    book(api, "=1+1")
    (row,) = csv_of(acme.owner, group_by="user")
    assert row["user"] == "'=1+1"


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
    assert shown_total(at_page(rival.owner, "RIVAL")) is None


def shown_total(answer: Any) -> str | None:
    assert answer.status_code == 200
    return table(answer).get("Total", [None])[0]


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
    plain = shown(at_page(used.owner))
    assert shown(at_page(used.owner, measure="", first="", user="", utm_source="mail")) == plain


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
