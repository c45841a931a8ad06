"""The audit beside writers at work, over many slices, and as the command that an operator runs."""

import json
from collections.abc import Callable
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from tests.cast import Company
from tests.database import run
from tests.parallel import at_once
from tests.usage.ledger_world import Books, end, everything, released, totals
from usage import audit as audit_module
from usage.audit import Report, audit

CHARGES = everything("TOKENS", limits={"UNITS": 10**9, "COST": 10**9, "SLOTS": 1000})


def work(books: Books, rounds: int) -> None:
    for number in range(rounds):
        one, other = books.hold(CHARGES), books.hold(CHARGES)
        books.settle(one, end("REPORT", totals(10, 5)))
        books.settle(one, end(said=totals(number, 40)))
        books.settle(other, released())


def test_writers_at_work_do_not_look_like_breaches(committed: None, acme: Company, rival: Company) -> None:
    books = [Books.of(company.tenant.id) for company in (acme, acme, rival)]
    seen: list[Report] = []

    def writer(of: Books) -> Callable[[], None]:
        return lambda: work(of, 40)

    def auditor() -> None:
        seen.extend(audit() for _ in range(25))

    at_once(auditor, *(writer(each) for each in books))
    assert [report.breaches for report in seen if not report.is_clean] == []
    last = audit(full=True)
    assert last.is_clean
    assert last.log_rows == 3 * 40 * 3


def test_it_adds_up_over_slices(committed: None, acme: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sums of slices and of the rest are one sum; a reservation is in exactly one slice."""
    books = Books.of(acme.tenant.id)
    work(books, 10)
    monkeypatch.setattr(audit_module, "_LOG_SLICE", 7)
    monkeypatch.setattr(audit_module, "_RESERVATION_SLICE", 3)
    report = audit()
    assert report.breaches == ()
    assert report.log_rows == 30
    assert report.reservations == 20
    run("UPDATE usage_usagemeter SET used = used + 1 WHERE measure = 'UNITS'")
    assert [breach.invariant for breach in audit().breaches] == ["I2"]


def command(*arguments: str) -> str:
    out = StringIO()
    call_command("audit_ledger", *arguments, stdout=out)
    return out.getvalue()


def test_the_command_says_that_all_is_right(acme: Company) -> None:
    work(Books.of(acme.tenant.id), 1)
    assert command().startswith("The ledger is right: 1 tenant, 5 meters, 2 reservations and 3 log rows in ")
    assert json.loads(command("--tenant", "ACME", "--full", "--json"))["breaches"] == []


def test_the_command_shows_each_breach_and_fails(
    acme: Company, rival: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    work(Books.of(acme.tenant.id), 1)
    run("UPDATE usage_usagemeter SET used = used + 1 WHERE measure = 'UNITS'")
    out = StringIO()
    with pytest.raises(SystemExit) as stopped:
        call_command("audit_ledger", stdout=out)
    assert stopped.value.code == 1
    for told in ("I2", "ACME", "PATENT_DRAFTING UNITS DAY", "charges in the log + archived = 40", "41"):
        assert told in out.getvalue()
    assert "1 breaches in" in out.getvalue()

    with pytest.raises(SystemExit):
        call_command("audit_ledger", "--json", stdout=(out := StringIO()))
    breach = json.loads(out.getvalue())["breaches"][0]
    assert breach["invariant"] == "I2"
    assert breach["tenant"] == str(acme.tenant.id)
    assert command("--tenant", "RIVAL").startswith("The ledger is right")


def test_an_unknown_tenant_is_said(db: None) -> None:
    with pytest.raises(CommandError, match="There is no tenant NOBODY"):
        command("--tenant", "NOBODY")
