"""A user is erased: nothing names them, everything adds up, and nobody else is touched."""

from io import StringIO
from pathlib import Path
from uuid import UUID

import psycopg
import pytest
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth import SESSION_KEY
from django.contrib.contenttypes.models import ContentType
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection, transaction
from django.utils import timezone
from pytest_django import Settings

from plans.models import PolicyRule
from tenants import database
from tenants.models import ATIToken, Role, User
from tests.cast import Company
from tests.enforcement.api import Api
from tests.usage.ledger_world import breaches, charge, end, totals
from tests.usage.named import OTHER, SOME, USER, erase, everything, roll_up, sums, use
from usage.erasure import places, words
from usage.models import Denial, Erasure, UsageEvent, UsageLog, UsageMeter, UsageReservation, UsageRollup


@pytest.fixture(autouse=True)
def _archive(committed: None, tmp_path: Path, settings: Settings) -> None:
    settings.ARCHIVE_DIR = tmp_path


def test_nothing_names_an_erased_user_and_everything_adds_up(acme: Company, rival: Company) -> None:
    use(acme)
    use(acme, OTHER)
    use(rival)
    before, of_rival = sums(acme), [each for each in everything() if each[2] == USER]

    pseudonym = erase(acme)

    left = [each for each in everything() if USER in each[2].replace(OTHER, "").split(pseudonym)[0]]
    mine = {row[0] for row in database.rows("SELECT id::text FROM tenants_tenant WHERE ati_id = 'RIVAL'")}
    assert mine
    assert sums(acme) == before
    assert not breaches(acme.tenant.id)
    assert not breaches(rival.tenant.id)
    for model in (UsageLog, UsageReservation, UsageMeter, Denial, UsageRollup):
        keys = set(model.objects.for_tenant(acme.tenant.id).values_list("user_key", flat=True))
        assert {pseudonym, OTHER} <= keys <= {pseudonym, OTHER, None}, model
        assert USER in model.objects.for_tenant(rival.tenant.id).values_list("user_key", flat=True), model
    assert of_rival
    # What still says so is the other tenant's.
    call_command("erase_user", "RIVAL", USER, yes=True, stdout=StringIO())
    left = [each for each in everything() if USER in each[2].replace(OTHER, "")]
    assert left == []


def test_what_callers_wrote_goes_and_what_was_decided_stays(acme: Company) -> None:
    use(acme)
    pseudonym = erase(acme)
    row = UsageLog.objects.for_tenant(acme.tenant.id).get(status="COMPLETED", decision__isnull=False)
    assert (row.user_key, row.metadata, row.correlation_id, row.error) == (pseudonym, None, None, None)
    assert row.ask == {"user": pseudonym, "task": "LLM2_DRAFT"}
    for held in UsageReservation.objects.for_tenant(acme.tenant.id):
        assert (held.user_key, held.metadata, held.correlation_id) == (pseudonym, None, None)
        assert held.idempotency_key == f"{pseudonym}-{held.id}"
        assert [scope[0] for scope in held.charges] in ([None, pseudonym], [pseudonym, None])
    denial = Denial.objects.get()
    assert denial.message == f"{pseudonym}: nothing left"
    assert denial.binding == {"user": pseudonym, "unit": "TOKENS"}
    assert denial.decision["charges"] == [[pseudonym, None, None, "UNITS", "DAY", "a", "b", "TOKENS"]]
    assert UsageEvent.objects.get().event_id.startswith(pseudonym)
    assert PolicyRule.objects.get(scope="USER").reason == f"{pseudonym} asked for it"
    assert LogEntry.objects.get().change_message == f"Raised for {pseudonym}."


def test_an_open_reservation_goes_on_and_its_rows_name_the_pseudonym(acme: Company) -> None:
    books = use(acme)
    pseudonym = erase(acme)
    for held in UsageReservation.objects.for_tenant(acme.tenant.id).filter(status="OPEN"):
        assert books.settle(held.id, end(said=SOME)).outcome == "BOOKED"
    keys = UsageLog.objects.for_tenant(acme.tenant.id).values_list("user_key", flat=True)
    assert set(keys) == {pseudonym}
    assert not breaches(acme.tenant.id)


def test_who_comes_back_gets_no_second_quota(acme: Company) -> None:
    """Defect 1: the meter of a running period is found by the key it had; its id names nobody."""
    books = use(acme)
    own = charge("UNITS", 1, user=USER)
    used = books.meter(own)
    pseudonym = erase(acme)
    assert books.meter(own) == used
    books.settle(books.hold([own], user_key=USER), end(said=totals(1, 0)))
    assert books.meter(own).used == used.used + 1
    assert not breaches(acme.tenant.id)
    assert erase(acme) != pseudonym
    assert books.meter(own).used == used.used + 1


def test_an_account_is_nobodys_afterwards(acme: Company) -> None:
    person = acme.people[0]
    key, email = str(person.user.pk), person.user.email
    User.objects.filter(pk=person.user.pk).update(name="Ann Other")
    use(acme, key)
    LogEntry.objects.create(
        user=acme.owner.user, content_type=ContentType.objects.get_for_model(User), object_id=key, object_repr=email,
        action_flag=CHANGE, change_message=f"Wrote to {email}.",
    )  # fmt: skip
    sessions = {}
    for whose in (person, acme.owner):
        session = SessionStore()
        session[SESSION_KEY] = str(whose.user.pk)
        session.create()
        sessions[whose.user.pk] = session.session_key

    pseudonym = erase(acme, key)

    user = User.objects.get(pk=key)
    assert (user.name, user.status, user.has_usable_password()) == ("", "SUSPENDED", False)
    assert user.email.endswith("@erased.invalid")
    assert pseudonym.removeprefix("erased-") not in user.email
    assert set(ATIToken.objects.filter(user=user).values_list("status", flat=True)) == {"REVOKED"}
    assert list(Session.objects.values_list("session_key", flat=True)) == [sessions[acme.owner.user.pk]]
    assert Api(person.token).get("/usage/logs").status_code == 401
    assert [each for each in everything() if email in each[2] or "Ann Other" in each[2]] == []
    allowed = {("django_admin_log", "object_id")}  # which row of the accounts it was, and that is nobody's now
    assert {each[:2] for each in everything() if key in each[2]} <= allowed
    assert erase(acme, key)


def test_the_only_owner_is_not_erased(acme: Company) -> None:
    with pytest.raises(CommandError, match="only OWNER"):
        erase(acme, str(acme.owner.user.pk))
    User.objects.filter(pk=acme.people[0].user.pk).update(role=Role.OWNER)
    assert erase(acme, str(acme.owner.user.pk))


@pytest.mark.parametrize(
    "key", ["7", "48213", "ADMIN", "OPEN", "UNITS", "PATENT_DRAFTING", "ann", 'o"b\\x', "a b", "é@x.y", "(.*)"]
)
def test_keys_that_mean_something_else_too_change_nothing_else(acme: Company, key: str) -> None:
    """A key is replaced where users stand; words that say something else stay as they are."""
    use(acme, key)
    books = use(acme, "somebody")
    before = sums(acme)
    others = list(
        UsageReservation.objects.filter(user_key="somebody").order_by("id").values("ask", "charges", "decision")
    )
    pseudonym = erase(acme, key)
    assert sums(acme) == before
    assert not breaches(acme.tenant.id)
    assert (
        list(UsageReservation.objects.filter(user_key="somebody").order_by("id").values("ask", "charges", "decision"))
        == others
    )
    for held in UsageReservation.objects.for_tenant(acme.tenant.id).filter(user_key=pseudonym):
        assert held.ask == {"user": pseudonym, "task": "LLM2_DRAFT"}
        assert {scope[0] for scope in held.charges} == {None, pseudonym}
        assert {scope[3] for scope in held.charges} == {"UNITS"}
    assert not UsageLog.objects.for_tenant(books.tenant).filter(user_key=key).exists()


def test_only_whole_words_of_a_telling_key_are_a_name() -> None:
    found = words.pattern(["u-17"])
    for text, name in {
        "u-17": True, "for u-17.": True, "user:u-17": True, "/u-17/": True, '"u-17"': True, "u-17, u-18": True,
        "u-17-2": False, "u-170": False, "xu-17": False, "a.u-17": False, "u-17@x": False, "u-17.pdf": False,
    }.items():  # fmt: skip
        assert database.rows("SELECT %s ~ %s", [text, found]) == [(name,)], text


def test_the_log_stays_as_it_was_booked_whoever_else_writes(acme: Company) -> None:
    """Only the function that erases passes the trigger, with exactly what it makes of a row."""
    use(acme)
    row = UsageLog.objects.for_tenant(acme.tenant.id).get(status="COMPLETED", decision__isnull=False)
    begun = Erasure.objects.create(tenant=acme.tenant, user_key=USER, pseudonym="erased-x")
    marked = f"SELECT set_config('ledger.erasure', '{begun.id}', true)"
    for changes in (
        "user_key = 'erased-x'",  # without the metadata
        "user_key = 'erased-y', metadata = NULL, correlation_id = NULL, error = NULL",
        "cost = 12345",
        "user_key = 'erased-x', metadata = NULL, correlation_id = NULL, error = NULL, cost = 12345",
    ):
        for marker in ("SELECT 1", marked):
            with pytest.raises(IntegrityError, match="stay as they were booked"):
                _run(marker, f"UPDATE usage_usagelog SET {changes} WHERE id = '{row.id}'")
    with pytest.raises(IntegrityError, match="stay as they were booked"):
        _run(marked, f"DELETE FROM usage_usagelog WHERE id = '{row.id}'")
    Erasure.objects.update(finished_at=timezone.now(), user_key=None)
    everywhere = [acme.tenant.id, begun.id, UUID(int=0), UUID(int=2**128 - 1)]
    with pytest.raises(Exception, match="query returned no rows") as caught:
        database.rows("SELECT ledger_erase_log(%s, %s, %s, %s)", everywhere)
    assert isinstance(caught.value.__cause__, psycopg.errors.NoDataFound)


def _run(*statements: str) -> None:
    """In one transaction."""
    with transaction.atomic(), connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def test_sums_of_a_user_and_of_their_pseudonym_are_one(acme: Company) -> None:
    """A worker may roll up an erased row before the older sums are moved."""
    use(acme)
    Erasure.objects.create(tenant=acme.tenant, user_key=USER, pseudonym="erased-x")
    roll_up(acme, "usage_usagerollup", "15 minutes", "erased-x", cost=5)
    assert erase(acme) == "erased-x"
    rolled = UsageRollup.objects.get()
    assert (rolled.user_key, rolled.cost, rolled.bookings, rolled.latency_histogram) == ("erased-x", 12, 2, [0, 2])


def test_a_dry_run_shows_and_changes_nothing(acme: Company) -> None:
    use(acme)
    before = everything()
    out = StringIO()
    call_command("erase_user", "ACME", USER, dry_run=True, stdout=out)
    (line,) = [line for line in out.getvalue().splitlines() if "usage_usagelog" in line and "user_key" in line]
    assert [each.strip() for each in line.strip("│").split("│")] == ["usage_usagelog", "user_key", "4", "4"]
    assert everything() == before


def test_of_a_user_nobody_knows_nothing_is_kept(acme: Company) -> None:
    use(acme)
    out = StringIO()
    call_command("erase_user", "ACME", "nobody", stdout=out)
    assert "nothing here names nobody" in out.getvalue()
    assert not Erasure.objects.exists()


def test_it_asks_first(acme: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    use(acme)
    monkeypatch.setattr("builtins.input", lambda prompt: "yes")
    with pytest.raises(CommandError, match="Nothing was changed"):
        call_command("erase_user", "ACME", USER, stdout=StringIO())
    assert not Erasure.objects.exists()
    monkeypatch.setattr("builtins.input", lambda prompt: USER)
    call_command("erase_user", "ACME", USER, stdout=StringIO())
    assert Erasure.objects.get().user_key is None


def test_every_table_that_could_name_a_user_is_looked_through(committed: None) -> None:
    """A new table fails here until it is decided whether a user can be in it."""
    names = {table.name for table in places.tables()}
    assert {"usage_usagelog", "usage_usagerollup", "plans_policyrule", "django_admin_log", "tenants_user"} <= names
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE new_notes (id bigint PRIMARY KEY, note text)")
        try:
            with pytest.raises(LookupError, match="new_notes"):
                places.tables()
        finally:
            cursor.execute("DROP TABLE new_notes")
