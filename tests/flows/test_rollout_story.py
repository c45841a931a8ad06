"""A tenant is watched for a week, and then its limits bind one after the other."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection

from plans import rollouts
from plans.models import RolloutGate
from tenants.models import EnforcementMode
from tests.cast import Company
from tests.enforcement.api import Api
from tests.enforcement.rules import limit

TASK, FEATURE = "LLM2_DRAFT", "PATENT_DRAFTING"
TODAY = datetime.now(UTC)
# One operation of each kind: what it asks for, and the limits of ACME that it would not fit on a watched day.
SMALL: dict[str, Any] = {"tokens_in": 1_000, "tokens_out": 1_000}
LARGE: dict[str, Any] = {"tokens_in": 9_000, "tokens_out": 1_000}

Ago = Callable[[int], Any]


@pytest.fixture
def ago(db: None) -> Ago:
    """Lets this connection's database live so many days ago, for as long as a block lasts.

    The ledger has one clock, the database's: it alone dates rows, chooses periods and binds what begins at a date. The
    SQL of the ledger asks for it by the bare name clock_timestamp(), so a schema that comes before PostgreSQL's own
    moves it. Nothing else is touched: every row of the week is written by the API, and no row is moved afterwards. The
    process's own clock stays at today, as one that is wrong would: an answer it is asked for is STALE until the
    database's clock decides.
    """
    with connection.cursor() as cursor:
        cursor.execute("CREATE SCHEMA past")
        cursor.execute(
            """
            CREATE FUNCTION past.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE AS
            $$ SELECT pg_catalog.clock_timestamp() - current_setting('past.days')::interval $$
            """
        )
        for month in {(TODAY - timedelta(days=days)).date().replace(day=1) for days in range(8)}:
            cursor.execute("SELECT ledger_make_partition(%s)", [month])

    @contextmanager
    def living(days: int) -> Iterator[None]:
        with connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL past.days = '{days} days'")
            cursor.execute("SET LOCAL search_path = past, pg_catalog, public")
            yield
            cursor.execute("SET LOCAL search_path = DEFAULT")

    return living


def call(api: Api, **asked: Any) -> dict[str, Any]:
    """A call from its ask to its end, where it is permitted."""
    answer = api.enforce("ACME", TASK, user="u-1", **asked)
    if answer["allowed"]:
        used = {"input_tokens": asked["tokens_in"], "output_tokens": asked["tokens_out"]}
        committed = api.commit(answer["reservation_id"], usage=used, model="gpt-4o")
        assert committed.status_code == 200, committed.content
    return answer


def told(api: Api, answer: dict[str, Any]) -> dict[str, str]:
    """What of a decision's explanation is not simply passed: gate and verdict. It agrees with the answer."""
    found = api.get(f"/decisions/{answer['decision_id']}", tenant="ACME").json()
    assert (found["code"], found["message"], found["binding"]) == (answer["code"], answer["message"], answer["binding"])
    assert found["would_deny"] == [each["code"] for each in answer["would_deny"] or []]
    return {gate["gate"]: gate["verdict"] for gate in found["gates"] if gate["verdict"] != "PASSED"}


def report() -> dict[str, int]:
    """The operator's report: how many requests of the last 7 days each observed gate would have refused."""
    out = StringIO()
    call_command("rollout_report", days=7, tenant="ACME", json=True, stdout=out)
    return {row["gate"]: row["requests"] for row in json.loads(out.getvalue())["observed"]}


def enforce(gate: RolloutGate, acme: Company) -> None:
    """The operator has read enough of it."""
    at = datetime.now(UTC)
    rollouts.switch(gate, EnforcementMode.ENFORCE, at=at, reason="A week was watched", tenant=acme.tenant)


def test_a_week_is_watched_and_then_each_gate_binds_in_turn(api: Api, acme: Company, ago: Ago) -> None:
    limit(acme.tenant, "MAX_TOKENS_IN", 8_000)
    limit(acme.tenant, "DAILY_QUOTA", 5_000, feature_id=FEATURE)
    limit(acme.tenant, "USER_DAILY_QUOTA", 4_000, feature_id=FEATURE)
    week_ago = TODAY - timedelta(days=7, hours=1)
    watched = (RolloutGate.CAPS, RolloutGate.DAILY_QUOTA, RolloutGate.USER_QUOTA)
    for gate in watched:
        rollouts.switch(gate, EnforcementMode.OBSERVE, at=week_ago, reason="New limits", tenant=acme.tenant)

    # Each day three small calls and, on every second one, a large one. All are let through.
    verdicts = []
    for days in range(6, 0, -1):
        with ago(days):
            asked = [SMALL, SMALL, SMALL, *([LARGE] if days % 2 else [])]
            answers = [call(api, **ask) for ask in asked]
            assert all(answer["allowed"] for answer in answers)
            assert not any(answer["shaped"] for answer in answers)
            verdicts += [told(api, answer) for answer in answers]
    nothing: dict[str, str] = {}
    third = {"DAILY_QUOTA": "OBSERVED", "USER_QUOTA": "OBSERVED"}
    assert verdicts[:7] == [nothing, nothing, third, nothing, nothing, third, third | {"CAPS": "OBSERVED"}]

    # Six days had a third call that neither quota would have let through, and three had a large call besides.
    assert report() == {"CAPS": 3, "DAILY_QUOTA": 9, "USER_QUOTA": 9}
    days_of_log = connection.cursor()
    days_of_log.execute("SELECT count(DISTINCT occurred_at::date), count(*) FROM usage_usagelog")
    assert days_of_log.fetchone() == (6, 21)

    # The caps bind first: too much input is refused, and the quotas still only watch.
    enforce(RolloutGate.CAPS, acme)
    refused = call(api, **LARGE)
    assert (refused["code"], told(api, refused)["CAPS"]) == ("INPUT_TOO_LARGE", "REFUSED")
    permits = [call(api, **SMALL) for _ in range(3)]
    assert [told(api, permit) for permit in permits] == [nothing, nothing, third]
    assert report() == {"CAPS": 3, "DAILY_QUOTA": 10, "USER_QUOTA": 10}

    # Then the quota of each user, of which 6,000 of 4,000 are used today. The daily quota is still watched.
    enforce(RolloutGate.USER_QUOTA, acme)
    refused = call(api, **SMALL)
    assert (refused["code"], refused["binding"]["used"]) == ("USER_QUOTA_EXCEEDED", 6_000)
    assert told(api, refused) == {"USER_QUOTA": "REFUSED", "DAILY_QUOTA": "OBSERVED"}

    # Another user has one of its own, and meets the daily quota once that binds too: nothing is left of it.
    enforce(RolloutGate.DAILY_QUOTA, acme)
    refused = api.enforce("ACME", TASK, user="u-2", **SMALL)
    assert (refused["code"], refused["binding"]["limit"]) == ("DAILY_QUOTA_EXCEEDED", 5_000)
    assert told(api, refused) == {"DAILY_QUOTA": "REFUSED"}

    # What was decided before still tells what was in force then, and the books agree.
    assert told(api, permits[2]) == third
    assert report() == {"CAPS": 3, "DAILY_QUOTA": 10, "USER_QUOTA": 10}
    call_command("audit_ledger", full=True, stdout=StringIO())
