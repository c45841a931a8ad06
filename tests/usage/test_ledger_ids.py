"""The clock inside an id, and the month of the log that a row therefore lands in."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from enforcement.settlement import started_at
from tests.usage.ledger_world import Books, charge, end, totals

MILLISECOND = timedelta(milliseconds=1)
instants = st.datetimes(datetime(1970, 1, 2), datetime(2150, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - naive

# The examples write nothing; a busy machine may take its time.
shared = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def ask(expression: str, *parameters: Any) -> tuple[object, ...]:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {expression}", parameters)
        row: tuple[object, ...] = cursor.fetchone()
        return row


@shared
@given(instants)
@example(datetime(2026, 11, 24, 12, 0, 0, 999_999, tzinfo=UTC))
def test_an_id_carries_the_instant_it_was_made_for(db: None, at: datetime) -> None:
    id_, back, version, variant = ask(
        "id, ledger_uuid7_at(id), left(split_part(id::text, '-', 3), 1), left(split_part(id::text, '-', 4), 1)"
        " FROM ledger_uuid7(%s) AS made(id)",
        at,
    )
    assert isinstance(back, datetime)
    assert timedelta(0) <= at - back < MILLISECOND
    assert (version, variant in "89ab") == ("7", True)  # type: ignore[operator]  # text
    assert isinstance(id_, UUID)
    assert started_at(id_) == back


@shared
@given(instants, st.timedeltas(MILLISECOND, timedelta(days=400)))
def test_the_floor_of_an_instant_is_below_its_ids_and_above_those_before(
    db: None, at: datetime, later: timedelta
) -> None:
    floor, id_, next_floor = ask("ledger_uuid7_floor(%s), ledger_uuid7(%s), ledger_uuid7_floor(%s)",
                                 at, at, at + later)  # fmt: skip
    assert isinstance(floor, UUID)
    assert isinstance(id_, UUID)
    assert isinstance(next_floor, UUID)
    assert floor <= id_ < next_floor
    (ordered,) = ask("%s::uuid <= %s::uuid AND %s::uuid < %s::uuid", floor, id_, id_, next_floor)
    assert ordered is True


def test_ids_of_one_instant_differ(db: None) -> None:
    (distinct,) = ask("count(DISTINCT ledger_uuid7('2026-11-24')) FROM generate_series(1, 1000)")
    assert distinct == 1000


def test_a_booking_lands_in_the_partition_of_its_month(books: Books) -> None:
    reservation = books.hold([charge("UNITS", 1)])
    books.settle(reservation, end(said=totals(1, 0)))
    books.record(books.event(end(said=totals(1, 0)), fact=books.fact([charge("UNITS", 0)])))
    books.expire(books.hold([charge("UNITS", 1)]))
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT tableoid::regclass::text, to_char(recorded_at AT TIME ZONE 'UTC', 'YYYY_MM')"
            "  FROM usage_usagelog WHERE tenant_id = %s",
            [books.tenant],
        )
        rows = cursor.fetchall()
    assert len(rows) == 3
    assert {table for table, _ in rows} == {f"usage_usagelog_{month}" for _, month in rows}
    assert ask("count(*) FROM usage_usagelog_default") == (0,)


@pytest.mark.parametrize("month", [date(2031, 2, 1), date(2031, 12, 17)])
def test_a_partition_holds_exactly_its_month_whatever_zone_the_session_is_in(db: None, month: date) -> None:
    name = f"usage_usagelog_{month:%Y_%m}"
    first = datetime(month.year, month.month, 1, tzinfo=UTC)
    after = datetime(month.year + month.month // 12, month.month % 12 + 1, 1, tzinfo=UTC)
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL TIME ZONE 'Pacific/Kiritimati'")
        assert [ask("ledger_make_partition(%s)", month) for _ in range(2)] == [(True,), (False,)]
        for at, inside in (
            (first - MILLISECOND, False), (first, True), (after - MILLISECOND, True), (after, False),
        ):  # fmt: skip
            cursor.execute(
                "INSERT INTO usage_usagelog (id, tenant_id, status, attempt, feature_id, task_id, unit, input_tokens,"
                " cached_input_tokens, cache_write_tokens, output_tokens, reasoning_tokens, api_calls, items, units,"
                " certainty, late, occurred_at, recorded_at, meters, measures, charges, overruns, helds)"
                " VALUES (ledger_uuid7(%s), %s, 'FAILED', 0, 'F', 'T', 'ITEMS', 0, 0, 0, 0, 0, 0, 0, 0, 'FINAL',"
                " false, %s, %s, '{}', '{}', '{}', '{}', '{}') RETURNING tableoid::regclass::text",
                [at, UUID(int=0), at, at],
            )
            assert (cursor.fetchone()[0] == name) is inside
