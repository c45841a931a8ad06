"""A tenant's own calendar as it is stored: changed at the end of a month, and never to a second quota."""

from datetime import datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plans.calendars import calendar_of, change_calendar
from plans.periods import Calendar, CalendarChange, changed, period
from tenants import facts, versions
from tenants.models import Tenant
from tests import cast
from tests.parallel import at_once
from tests.plans.calendars import DAY, MONTH, TICK, ZONES, bounds, utc

NOW = utc(2026, 10, 20)
NOVEMBER = utc(2026, 11, 1)


def known(tenant: Tenant) -> Calendar:
    """The calendar that calls are decided on."""
    versions.refresh(tenant.id)
    return calendar_of(facts.tenant(tenant.id))


def change(tenant: Tenant, timezone: str, anchor_day: int, now: datetime = NOW) -> datetime:
    return change_calendar(tenant, timezone=timezone, anchor_day=anchor_day, now=now)


def test_a_new_tenants_months_begin_on_the_first_in_utc(acme: cast.Company) -> None:
    assert known(acme.tenant) == Calendar("UTC", 1)


def test_a_change_takes_effect_at_the_end_of_the_running_month(acme: cast.Company) -> None:
    before = known(acme.tenant)
    assert change(acme.tenant, "Europe/Berlin", 15) == NOVEMBER
    after = known(acme.tenant)
    assert after == Calendar("UTC", 1, next=CalendarChange(timezone="Europe/Berlin", anchor_day=15, at=NOVEMBER))
    for kind in (DAY, MONTH):
        assert period(kind, after, NOW) == period(kind, before, NOW)
        assert period(kind, after, NOVEMBER - TICK) == period(kind, before, NOVEMBER - TICK)
        assert period(kind, after, NOVEMBER).start == NOVEMBER
    assert (acme.tenant.timezone, acme.tenant.next_timezone) == ("UTC", "Europe/Berlin")


def test_a_second_change_takes_the_place_of_one_to_come(acme: cast.Company) -> None:
    change(acme.tenant, "Europe/Berlin", 15)
    change(acme.tenant, "Asia/Tokyo", 20, NOW + timedelta(days=2))
    expected = CalendarChange(timezone="Asia/Tokyo", anchor_day=20, at=NOVEMBER)
    assert known(acme.tenant) == Calendar("UTC", 1, next=expected)


def test_a_change_that_has_come_is_folded_in_before_the_next(acme: cast.Company) -> None:
    change(acme.tenant, "UTC", 15)
    later = utc(2026, 11, 20)
    running = period(MONTH, known(acme.tenant), later)
    assert bounds(running) == (NOVEMBER, utc(2026, 12, 15))

    assert change(acme.tenant, "UTC", 1, later) == utc(2026, 12, 15)
    assert (acme.tenant.billing_anchor_day, acme.tenant.calendar_since) == (15, NOVEMBER)
    assert period(MONTH, known(acme.tenant), later) == running


def test_no_number_of_edits_gives_a_second_month(acme: cast.Company) -> None:
    """Without the instant of the change that was folded in, the second edit would begin a month at the 15th."""
    now, months = NOW, {period(MONTH, known(acme.tenant), NOW)}
    for anchor_day in (15, 1, 28, 10):
        change(acme.tenant, "UTC", anchor_day, now)
        now += timedelta(days=10)
        months.add(period(MONTH, known(acme.tenant), now))
    assert sorted(month.start for month in months) == [utc(2026, 10, 1), NOVEMBER]


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(ZONES), st.integers(1, 31), st.timedeltas(timedelta(hours=1), timedelta(days=50))),
        max_size=5,
    )
)
def test_what_is_stored_is_what_the_pure_rule_says(db: None, edits: list[tuple[str, int, timedelta]]) -> None:
    tenant = Tenant.objects.create(ati_id="NEWCO", name="Newco")
    expected, now = Calendar("UTC", 1), NOW
    for timezone, anchor_day, wait in edits:
        expected = changed(expected, timezone, anchor_day, now)
        assert change(tenant, timezone, anchor_day, now) == (expected.next and expected.next.at)
        assert known(tenant) == expected
        now += wait
    tenant.delete()


@pytest.mark.parametrize(("timezone", "anchor_day"), [("Mars/Olympus", 1), ("localtime", 1), ("UTC", 0), ("UTC", 32)])
def test_a_calendar_that_cannot_be_is_refused(acme: cast.Company, timezone: str, anchor_day: int) -> None:
    with pytest.raises(ValueError, match=r"unknown time zone|not in 1\.\.31"):
        change(acme.tenant, timezone, anchor_day)
    assert known(acme.tenant) == Calendar("UTC", 1)


def test_two_operators_at_once_leave_one_change(committed: None, acme: cast.Company) -> None:
    """One is due and folded in by whoever comes first; the other must not fold it in again."""
    change(acme.tenant, "UTC", 15)
    later = utc(2026, 11, 20)

    def edit(anchor_day: int) -> datetime:
        return change(Tenant.objects.get(pk=acme.tenant.pk), "UTC", anchor_day, later)

    instants = at_once(lambda: edit(1), lambda: edit(2), lambda: edit(3))
    assert set(instants) == {utc(2026, 12, 15)}
    found = known(acme.tenant)
    assert (found.anchor_day, found.since) == (15, NOVEMBER)
    assert found.next is not None
    assert found.next.anchor_day in (1, 2, 3)
