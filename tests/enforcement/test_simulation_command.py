"""`manage.py simulate_plan`: what an operator reads before a plan binds."""

from datetime import datetime, timedelta
from io import StringIO
from pathlib import Path

import orjson
import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from plans.publishing import revisions
from tests import cast
from tests.cast import Company
from tests.enforcement.past import operation

SMALL = "PATENT_DRAFTING.daily_quota=1500"


def told(*words: str, processes: int = 1) -> str:
    out = StringIO()
    call_command("simulate_plan", *words, f"--processes={processes}", stdout=out)
    return out.getvalue()


def yesterday() -> datetime:
    return timezone.now().replace(hour=0, minute=5) - timedelta(days=1)


def calls_of(company: Company, count: int = 3) -> None:
    for number in range(count):
        operation(company.tenant, yesterday() + timedelta(minutes=number))


def test_it_tells_who_would_newly_be_refused_and_by_what(acme: Company, rival: Company) -> None:
    calls_of(acme)
    calls_of(rival, count=1)
    text = told("PRO", "--set", SMALL)
    assert "PRO r1, changed: 4 calls of 2 tenants" in text
    assert "2 calls of 1 tenants would newly be refused" in text
    assert "They cost USD 0.005 of 0.01" in text
    assert "DAILY_QUOTA_EXCEEDED 2" in text
    assert "RIVAL" not in text, "nothing changes for it"


def test_it_says_when_nothing_would(acme: Company) -> None:
    calls_of(acme)
    assert "No call would newly be refused." in told("PRO")


def test_json_has_all_of_it(acme: Company) -> None:
    calls_of(acme)
    found = orjson.loads(told("PRO", "--set", SMALL, "--json"))
    assert (found["plan"], found["changes"], found["tenants_newly_refused"]) == ("PRO r1", [SMALL], 1)
    assert found["total"]["newly_refused"]["requests"] == 2


def test_a_draft_is_tried_where_there_is_one_and_may_be_published_then(acme: Company) -> None:
    calls_of(acme)
    draft = revisions.draft("PRO")
    assert "counts as simulated" not in told("PRO", "--tenant", "ACME")
    assert f"PRO r{draft.revision} counts as simulated until its next edit." in told("PRO")
    draft.refresh_from_db()
    assert draft.simulated_at is not None


def test_several_processes_find_what_one_does(committed: None, acme: Company, rival: Company) -> None:
    for number in range(6):
        calls_of(cast.make_tenant(f"T{number}", people=0), count=number)
    calls_of(acme)
    words = ("PRO", "--set", SMALL, "--json")
    one, two = (orjson.loads(told(*words, processes=processes)) for processes in (1, 2))
    for found in (one, two):
        for name in ("seconds", "from", "until"):
            del found[name]
    assert one == two
    assert one["total"]["requests"] == 18


def test_a_trace_is_spread_over_tenants_and_their_tasks(acme: Company, rival: Company, tmp_path: Path) -> None:
    rows = "".join(f"2023-11-16 18:17:{second:02}.5,1000,200\n" for second in range(24))
    trace = tmp_path / "trace.csv"
    trace.write_text("TIMESTAMP,ContextTokens,GeneratedTokens\n" + rows)
    found = orjson.loads(told("PRO", "--set", SMALL, "--trace", str(trace), "--json"))
    assert [each["requests"] for each in found["tenants"]] == [12, 12]
    # of twelve calls two or three are drafting's, whose day has room for one
    assert found["total"]["newly_refused"]["by"][0]["code"] == "DAILY_QUOTA_EXCEEDED"
    assert found["total"]["cost"] != "0.00"


def test_a_trace_is_no_trial_of_a_draft_on_its_holders(acme: Company, tmp_path: Path) -> None:
    revisions.draft("PRO")
    trace = tmp_path / "trace.csv"
    trace.write_text("TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:17:03,1,1\n")
    assert "counts as simulated" not in told("PRO", "--trace", str(trace))


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["GOLD"], "There is no plan GOLD. Known: ENTERPRISE, FREE, PRO."),
        (["PRO", "--revision", "7"], "PRO has no such revision. Known: 1 (active)."),
        (["PRO", "--revision", "new"], "invalid revision value: 'new'"),
        ([], "Name a plan or changes"),
        (["--revision", "1", "--set", SMALL], "--revision is of a plan: name it."),
        (["PRO", "--tenant", "NOBODY"], "There is no tenant NOBODY."),
        (["PRO", "--tenant", "ACME", "--all"], "not allowed with argument"),
        (["FREE"], "Nobody holds the plan FREE now. Try it on others: --tenant, or --all."),
        (["PRO", "--days", "0"], "0 is not from 1 to 90"),
        (["PRO", "--set", "PATENT_DRAFTING.daily_quota=-1"], "-1 is no whole number from 0"),
        (["PRO", "--set", "PATENT_DRAFTING"], "write it as PATH=VALUE"),
        (["PRO", "--set", "ROBOTS=1"], "there is no ROBOTS in a plan. Known are max_seats"),
        (["PRO", "--trace", "nowhere.csv"], "nowhere.csv: No such file"),
    ],
)
def test_what_cannot_be_tried_is_refused_in_words(acme: Company, words: list[str], complaint: str) -> None:
    with pytest.raises(CommandError) as refused:
        told(*words)
    assert complaint in str(refused.value)
