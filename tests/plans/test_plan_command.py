"""`manage.py plan`: what an operator types, reads and is asked."""

import io
import sys
from datetime import UTC, datetime

import pytest
from django.contrib.admin.models import LogEntry
from django.core.management import CommandError, call_command
from structlog.testing import capture_logs

from plans import promises, publishing
from plans.models import Plan, PlanStatus
from tenants.models import ATIToken, User
from tests import cast
from tests.enforcement.rules import limit

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "300")


def plan(*words: str) -> str:
    """What the command says, with single spaces."""
    out = io.StringIO()
    with capture_logs():
        call_command("plan", *words, stdout=out)
    return " ".join(out.getvalue().split())


def refusal(*words: str) -> str:
    with pytest.raises(CommandError) as refused:
        plan(*words)
    return str(refused.value)


def answering(monkeypatch: pytest.MonkeyPatch, answer: str) -> list[str]:
    """A terminal at which somebody answers; the questions are kept."""
    asked: list[str] = []

    def ask(question: str) -> str:
        asked.append(question)
        return answer

    terminal = io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stdin", terminal)
    monkeypatch.setattr("builtins.input", ask)
    return asked


def test_a_revision_is_drafted_checked_published_and_rolled_back(acme: cast.Company, rival: cast.Company) -> None:
    """The story that the help tells."""
    made = plan("draft", "PRO", "--set", "PATENT_DRAFTING.daily_quota=400000", "--set", "MAX_TOKENS_OUT=9000")
    assert "│ PATENT_DRAFTING.daily_quota │ 500,000 tokens │ 400,000 tokens │" in made
    assert "PRO r2 is a draft. Next: manage.py plan check PRO:2" in made
    assert "│ MAX_TOKENS_OUT │ 8,000 tokens │ 9,000 tokens │" in plan("diff", "PRO")
    assert plan("check", "PRO") == "PRO r2 does not contradict itself."
    said = plan("publish", "PRO", "--unsimulated", "--yes")
    assert "│ 2 │ PRO r2 now │ ACME, RIVAL │" in said
    assert said.endswith("PRO r2 is active now. Tenants moved: 2.")
    assert {root.plan_id for root in ATIToken.objects.roots()} == {Plan.objects.get(code="PRO", revision=2).pk}
    listed = plan("list")
    assert "│ PRO r2 │ Active │ PRO r1 │ 2 │" in listed
    assert "│ PRO r1 │ Deprecated │ │ 0 │" in listed
    said = plan("rollback", "PRO", "--yes")
    assert "│ 2 │ PRO r1 now │ ACME, RIVAL │" in said
    assert said.endswith("PRO r1 is active again. Tenants moved: 2.")
    assert {root.plan_id for root in ATIToken.objects.roots()} == {Plan.objects.get(code="PRO", revision=1).pk}


def test_an_edit_that_cannot_be_makes_no_draft() -> None:
    assert "PATENT_DRAFTING.daily_quota: -1 is no whole number" in refusal(
        "draft", "PRO", "--set", "PATENT_DRAFTING.daily_quota=-1"
    )
    assert "is no whole number" in refusal("draft", "PRO", "--set", f"max_seats={'9' * 5_000}")
    assert "write it as PATH=VALUE" in refusal("draft", "PRO", "--set", "more")
    assert not Plan.objects.filter(status=PlanStatus.DRAFT).exists()


def test_names_that_are_not_known_list_the_known_ones() -> None:
    assert refusal("draft", "TEAM").endswith("There is no active plan TEAM. Active are: ENTERPRISE, FREE, PRO.")
    assert refusal("diff", "TEAM") == "There is no plan TEAM. Known are ENTERPRISE, FREE, PRO."
    assert refusal("check", "PRO") == "PRO has no draft. Make one with `manage.py plan draft PRO`."
    assert refusal("check", "PRO:7") == "PRO has no revision 7. Known are PRO:1."
    publishing.draft("PRO")
    publishing.draft("PRO")
    assert refusal("publish", "PRO", "--yes") == "PRO has several drafts, say which: PRO:2, PRO:3."
    assert refusal("rollback", "TEAM") == "There is no active plan TEAM. Known are ENTERPRISE, FREE, PRO."
    User.objects.create_superuser("root@example.com")
    assert refusal("publish", "PRO:2", "--by", "me@example.com") == (
        "There is no super admin me@example.com. Known are root@example.com."
    )


def test_a_check_exits_with_1_where_the_draft_contradicts_itself(acme: cast.Company, rival: cast.Company) -> None:
    limit(acme.tenant, "MAX_TOKENS_OUT", 5, user_key=str(rival.owner.user.pk))
    plan("draft", "PRO", "--set", "PRIOR_ART_SEARCH.daily_quota=2000", "--set", "DIAGRAM_GENERATION.daily_quota=400")
    out = io.StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("plan", "check", "PRO", stdout=out)
    assert ended.value.code == 1
    said = " ".join(out.getvalue().split())
    assert "│ error │ DAY_ABOVE_MONTH │ 2,000 API calls a day of PRIOR_ART_SEARCH can never be used up" in said
    assert "│ error │ FOREIGN_USER │ ACME: its rule MAX_TOKENS_OUT" in said
    assert "│ warning │ TEN_TIMES │ DIAGRAM_GENERATION.daily_quota: 40 requests → 400 requests: 10 times." in said
    assert said.endswith("PRO r2: 3 errors, 2 warnings.")
    told = refusal("publish", "PRO", "--yes")
    assert "2,000 API calls a day of PRIOR_ART_SEARCH can never be used up" in told
    assert "who is one of RIVAL's people" in told


def test_warnings_alone_exit_with_0() -> None:
    plan("draft", "PRO")
    assert plan("check", "PRO").endswith("PRO r2: 0 errors, 1 warnings.")


def test_what_was_not_simulated_is_published_only_where_that_is_said(acme: cast.Company) -> None:
    plan("draft", "PRO", "--set", "max_seats=30")
    assert "PRO r2 was not simulated since its last edit, and tenants hold PRO r1 (1)." in refusal(
        "publish", "PRO", "--yes"
    )
    draft = Plan.objects.get(code="PRO", revision=2)
    publishing.simulated(draft, datetime.now(UTC), promises.of(draft))
    assert "PRO r2 is active now" in plan("publish", "PRO", "--yes")


def test_a_publication_may_wait_for_an_instant_or_each_tenants_next_period(acme: cast.Company) -> None:
    plan("draft", "PRO", "--set", "max_seats=30")
    for at in (
        "tomorrow", "2050-01-01T00:00", "2050-13-01T00:00Z", "9999-12-31T23:59-14:00", "0001-01-01T00:00+14:00",
    ):  # fmt: skip
        assert refusal("publish", "PRO", "--at", at) == (
            f"{at} is no instant with its zone; write it like 2027-01-01T00:00Z."
        )
    assert "in the future" in refusal("publish", "PRO", "--at", "2020-01-01T00:00Z", "--yes", "--unsimulated")
    with pytest.raises(CommandError, match="not allowed with"):
        plan("publish", "PRO", "--at", "2050-01-01T00:00Z", "--next-period")
    said = plan("publish", "PRO", "--at", "2050-01-01T00:00Z", "--yes", "--unsimulated")
    assert "│ 1 │ PRO r2 from 01 Jan 2050 00:00 UTC │ ACME │" in said
    plan("draft", "PRO", "--set", "max_seats=31")
    assert "its change planned for 01 Jan 2050 00:00 UTC is to PRO r3" in plan(
        "publish", "PRO", "--next-period", "--yes", "--unsimulated"
    )
    assert ATIToken.objects.get(pk=acme.root.pk).next_plan == Plan.objects.get(code="PRO", revision=3)


@pytest.mark.parametrize(("answer", "is_done"), [("y", True), ("YES ", True), ("", False), ("n", False)])
def test_it_asks_before_it_publishes(answer: str, is_done: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    plan("draft", "PRO", "--set", "max_seats=30")
    asked = answering(monkeypatch, answer)
    if is_done:
        plan("publish", "PRO")
    else:
        assert refusal("publish", "PRO") == "Nothing was changed."
    assert asked == ["Publish PRO r2 (now)? [y/N] "]
    assert cast.plan("PRO").revision == (2 if is_done else 1)


def test_where_nobody_can_be_asked_it_wants_yes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    plan("draft", "PRO", "--set", "max_seats=30")
    assert "Say so with --yes" in refusal("publish", "PRO")
    plan("publish", "PRO", "--yes")
    assert "Say so with --yes" in refusal("rollback", "PRO")
    assert cast.plan("PRO").revision == 2


def test_who_changed_the_plan_is_in_the_audit_trail(acme: cast.Company) -> None:
    root = User.objects.create_superuser("root@example.com")
    plan("draft", "PRO", "--set", "max_seats=30")
    plan("publish", "PRO", "--yes", "--unsimulated", "--by", "Root@example.com")
    plan("rollback", "PRO", "--yes", "--by", "root@example.com")
    assert list(LogEntry.objects.order_by("pk").values_list("user", "object_repr", "change_message")) == [
        (root.pk, "PRO r2", "Published (now): Tenants moved: 1."),
        (root.pk, "PRO r2", "Rolled back to PRO r1: Tenants moved: 1."),
    ]


def test_a_first_revision_cannot_be_rolled_back() -> None:
    assert "PRO r1 is the first revision of its plan" in refusal("rollback", "PRO", "--yes")


@pytest.mark.parametrize("verb", ["list", "draft", "diff", "check", "publish", "rollback"])
def test_each_verb_explains_itself(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        call_command("plan", verb, "--help")
    assert ended.value.code == 0
    said = capsys.readouterr().out
    assert verb == "list" or f"manage.py plan {verb} " in said
