"""Shelves of snapshots: as current as their number, few, loaded once, and gone with a transaction undone."""

import threading
from dataclasses import dataclass
from uuid import UUID

import pytest
from django.db import OperationalError, connection, transaction

from tenants import facts, versions
from tenants.models import ConfigVersion, Tenant
from tenants.versions import Shelf
from tests import cast
from tests.parallel import at_once


@dataclass(frozen=True)
class Snapshot:
    number: int
    name: str = ""


class Source:
    """Where a shelf loads from: it counts, and shows what stands at the subject's number."""

    def __init__(self) -> None:
        self.numbers: dict[UUID, int] = {}
        self.loads: list[UUID] = []

    def load(self, subject: UUID) -> Snapshot:
        self.loads.append(subject)
        return Snapshot(self.numbers.get(subject, 0))


A, B, C = (UUID(int=number) for number in range(101, 104))


def test_a_snapshot_is_loaded_once() -> None:
    source = Source()
    shelf = Shelf(source.load, capacity=2)
    assert shelf.get(A) is shelf.get(A)
    assert source.loads == [A]


def test_the_least_recently_used_snapshot_goes_first() -> None:
    source = Source()
    shelf = Shelf(source.load, capacity=2)
    for subject in (A, B, A, C):
        shelf.get(subject)
    source.loads.clear()
    shelf.get(A)
    shelf.get(C)
    assert source.loads == []
    shelf.get(B)
    assert source.loads == [B]


def test_settling_drops_what_is_not_of_that_number() -> None:
    source = Source()
    shelf = Shelf(source.load, capacity=2)
    kept = shelf.get(A)
    versions.arrived(A, 0)
    versions.arrived(B, 1)
    assert shelf.get(A) is kept
    source.numbers[A] = 1
    versions.arrived(A, 1)
    assert shelf.get(A).number == 1
    assert shelf.get(A) is not kept


def test_a_number_that_went_back_counts_as_moved() -> None:
    """As after a restored backup."""
    source = Source()
    source.numbers[A] = 7
    shelf = Shelf(source.load, capacity=2)
    shelf.get(A)
    source.numbers[A] = 3
    versions.arrived(A, 3)
    assert shelf.get(A).number == 3


def test_clearing_forgets_everything_on_every_shelf() -> None:
    source = Source()
    shelves = [Shelf(source.load, capacity=2) for _ in range(2)]
    for shelf in shelves:
        shelf.get(A)
    versions.clear_all()
    for shelf in shelves:
        shelf.get(A)
    assert len(source.loads) == 4


def test_a_burst_of_requests_loads_a_snapshot_once() -> None:
    source = Source()
    shelf = Shelf(source.load, capacity=2)
    found = at_once(*[lambda: shelf.get(A)] * 16)
    assert source.loads == [A]
    assert all(snapshot is found[0] for snapshot in found)


def test_one_loader_works_at_a_time() -> None:
    loads = []
    others: list[threading.Thread] = []

    def load(subject: UUID) -> Snapshot:
        loads.append(subject)
        if subject == A:
            other = threading.Thread(target=shelf.get, args=[B])
            others.append(other)
            other.start()
            other.join(0.05)
            assert loads == [A]
        return Snapshot(0)

    shelf = Shelf(load, capacity=2)
    shelf.get(A)
    others[0].join(10)
    assert loads == [A, B]


def test_a_failed_load_leaves_nothing_behind() -> None:
    subjects = []

    def load(subject: UUID) -> Snapshot:
        subjects.append(subject)
        if len(subjects) == 1:
            raise LookupError(subject)
        return Snapshot(0)

    shelf = Shelf(load, capacity=2)
    with pytest.raises(LookupError):
        shelf.get(A)
    assert shelf.get(A) == Snapshot(0)


# --- Inside a transaction -----------------------------------------------------------------


def zone_known(company: cast.Company) -> str:
    return facts.tenant(company.tenant.id).timezone


def set_zone(company: cast.Company, zone: str) -> None:
    Tenant.objects.filter(pk=company.tenant.pk).update(timezone=zone)
    versions.refresh(company.tenant.id)


class Undone(Exception):
    pass


def test_a_snapshot_of_a_transaction_that_was_undone_is_forgotten(committed: None, acme: cast.Company) -> None:
    """The number it bears is given again: it would look current for ever."""
    with pytest.raises(Undone), transaction.atomic():  # noqa: PT012 - the block is what is undone
        set_zone(acme, "Asia/Tokyo")
        assert zone_known(acme) == "Asia/Tokyo"
        given = facts.tenant(acme.tenant.id).number
        raise Undone
    set_zone(acme, "Europe/Berlin")
    assert versions.number_of(acme.tenant.id) == given
    assert zone_known(acme) == "Europe/Berlin"


def test_a_snapshot_of_a_savepoint_that_was_undone_is_forgotten(committed: None, acme: cast.Company) -> None:
    with transaction.atomic():
        set_zone(acme, "Asia/Kolkata")
        assert zone_known(acme) == "Asia/Kolkata"
        with pytest.raises(Undone), transaction.atomic():  # noqa: PT012 - the block is what is undone
            set_zone(acme, "Asia/Tokyo")
            assert zone_known(acme) == "Asia/Tokyo"
            raise Undone
        set_zone(acme, "Europe/Berlin")
        assert zone_known(acme) == "Europe/Berlin"
    assert zone_known(acme) == "Europe/Berlin"


def test_other_threads_do_not_see_a_snapshot_of_an_open_transaction(committed: None, acme: cast.Company) -> None:
    with transaction.atomic():
        set_zone(acme, "Asia/Tokyo")
        assert zone_known(acme) == "Asia/Tokyo"
        assert at_once(lambda: zone_known(acme)) == ["UTC"]
    versions.refresh(acme.tenant.id)
    assert zone_known(acme) == "Asia/Tokyo"


def test_a_snapshot_taken_inside_a_transaction_may_be_late_and_tells_so(committed: None, acme: cast.Company) -> None:
    """Isolation cannot be raised there, so another's commit may come between number and content."""
    with transaction.atomic():
        number = versions.number_of(acme.tenant.id)
        late = facts.tenant(acme.tenant.id)
        at_once(lambda: set_zone(acme, "Asia/Tokyo"))
        assert facts.tenant(acme.tenant.id) is late
        assert late.number == number < versions.number_of(acme.tenant.id)
        versions.refresh(acme.tenant.id)
        assert zone_known(acme) == "Asia/Tokyo"


def test_a_snapshot_taken_inside_a_transaction_is_kept_while_it_lasts(committed: None, acme: cast.Company) -> None:
    with transaction.atomic():
        assert facts.tenant(acme.tenant.id) is facts.tenant(acme.tenant.id)
        versions.clear_all()
        taken = facts.tenant(acme.tenant.id)
        assert facts.tenant(acme.tenant.id) is taken
    assert facts.tenant(acme.tenant.id) is not taken


def test_everything_inside_one_instant_is_of_that_instant(committed: None, acme: cast.Company) -> None:
    """A change between two reads of a loader would make a snapshot that never was."""
    with versions.one_instant():
        number = versions.number_of(acme.tenant.id)
        at_once(lambda: set_zone(acme, "Asia/Tokyo"))
        found = facts.read_tenant(acme.tenant.id)
        assert (found.number, found.timezone) == (number, "UTC")
    assert zone_known(acme) == "Asia/Tokyo"


def test_one_instant_only_reads(committed: None) -> None:
    with pytest.raises(OperationalError, match="read-only"), versions.one_instant():
        Tenant.objects.create(ati_id="NEWCO", name="Newco")
    assert not connection.in_atomic_block


def test_refreshing_drops_a_snapshot_whose_number_is_gone(committed: None, acme: cast.Company) -> None:
    before = facts.tenant(acme.tenant.id)
    ConfigVersion.objects.filter(subject=acme.tenant.id).delete()
    versions.refresh(acme.tenant.id)
    assert facts.tenant(acme.tenant.id) is not before
    assert versions.number_of(acme.tenant.id) == facts.tenant(acme.tenant.id).number == 0
