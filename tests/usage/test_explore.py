"""Explore: its numbers are the ledger's, its title says what they say, and a file has what is shown."""

import json
from datetime import UTC, datetime

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tenants.models import Tenant
from tests.cast import Company
from tests.enforcement.api import Api
from tests.enforcement.rules import limit
from tests.usage import pages, rolled
from tests.usage.exploring import at_page, book, csv_of, figure, shown, table, text_of, use
from usage.pages.explore.amounts import Sums


@pytest.fixture
def used(api: Api, acme: Company) -> Company:
    """A tenant with some usage of two features, by three users and nobody."""
    return use(api, acme)


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
    assert rolled.fill() == 2
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


def test_a_latency_lies_where_the_histogram_says(db: None) -> None:
    for milliseconds in (1, 10, 11, 12, 100, 812, 60_000, 400_000):
        with connection.cursor() as cursor:
            cursor.execute("SELECT rollup_latency_bucket(%s)", [milliseconds])
            (bucket,) = cursor.fetchone()
        counts = tuple(int(place + 1 == bucket) for place in range(64))
        assert Sums(histogram=counts).latency(1.0) == pytest.approx(milliseconds, rel=0.19, abs=9)
        assert (Sums(histogram=counts).latency(1.0) or 0) >= milliseconds * 0.999


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
    here = 12 - datetime.now(UTC).hour  # where it is noon
    Tenant.objects.filter(pk=acme.tenant.pk).update(timezone=f"Etc/GMT{-here:+d}")
    book(api, usage={"input_tokens": 100})
    book(api, usage={"input_tokens": 70}, days_ago=1)
    book(api, usage={"input_tokens": 1000}, days_ago=0.9)
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


def test_a_file_has_no_pages_to_turn(acme: Company) -> None:
    answer = pages.browser(acme.owner.user).get("/t/ACME/explore/", {"format": "csv", "cursor": "x", "page_size": "2"})
    assert (answer.status_code, answer["Content-Type"]) == (200, "text/csv; charset=utf-8")
