"""An ask decided as far as snapshots can, ready for the ledger; and the smaller ask that it becomes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self
from uuid import UUID

from enforcement import gates, records
from enforcement.decisions import Ask
from enforcement.gates import Passage, Terms
from plans import shaping
from plans.charges import Charge
from usage import meters
from usage.entries import Basis, Reservation
from usage.meters import BoundCharge


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A refusal, a pass-through (mode OFF), or a reservation to make."""

    tenant: UUID
    basis: Basis
    terms: Terms
    passage: Passage
    ask: Ask
    key: str
    asked: str
    stored: Mapping[str, Any]
    reservation: Reservation | None = None

    @property
    def bound(self) -> tuple[BoundCharge, ...]:
        """The charges on their meters."""
        return self.reservation.charges if self.reservation else ()

    @property
    def charged(self) -> list[Charge]:
        """The charges alone."""
        return [each.charge for each in self.bound]

    def reserving(self, passage: Passage, bound: Sequence[BoundCharge]) -> Self:
        """With the reservation that a permit makes, on the meters of its charges; as it is where there is no permit."""
        if passage.permit is None:
            return self
        since, until = meters.window(bound, self.basis.since, self.basis.until)
        stored = {**self.stored, **records.permitted(self.terms, passage, passage.permit, bound)}
        wanted = records.reservation(
            self.terms, passage.permit, bound, key=self.key, fingerprint=self.asked, ask=self.ask, stored=stored
        )
        basis = replace(self.basis, since=since, until=until)
        return replace(self, basis=basis, passage=passage, stored=stored, reservation=wanted)

    def fits(self, taken: Sequence[int]) -> bool:
        """Whether the ledger would grant it where so much is taken of each meter."""
        return shaping.fits(self.charged, self._rooms(taken))

    def shaped(self, taken: Sequence[int]) -> Self | None:
        """The smaller or cheaper permit to ask for where so much is taken of each meter; None where none fits."""
        passage = gates.second(self.terms, self.passage, self.charged, self._rooms(taken))
        if passage is None:
            return None
        smaller = zip(self.bound, passage.charged, strict=True)
        return self.reserving(passage, [replace(each, charge=charge) for each, charge in smaller])

    def _rooms(self, taken: Sequence[int]) -> list[int | None]:
        return [shaping.room(charge, used) for charge, used in zip(self.charged, taken, strict=True)]
