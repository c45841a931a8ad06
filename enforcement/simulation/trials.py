"""What is tried: a plan in place of the one in force, or edited promises of it; and on which tenants."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID

from plans import entitlements, promises
from plans.models import Plan, PlanStatus
from plans.promises import Promises
from plans.publishing import edits, revisions, trial
from plans.publishing.edits import EditRefused, Vocabulary
from plans.terms import Catalogue, Entitlements, PlanTerms
from tenants.models import Tenant, TenantPlan

DRAFT = "draft"


class NothingToTry(Exception):
    """There is no such plan, tenant or promise, or nothing would be different; `field` is what to change."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


@dataclass(slots=True, kw_only=True)
class Trial:
    """A plan with changes (as `PATH=VALUE`), or where `plan` is None the changes on each tenant's own plan."""

    plan: Plan | None
    changes: Sequence[str]
    catalogue: Catalogue = field(init=False, default_factory=entitlements.catalogue)
    promised: Promises | None = field(init=False, default=None)
    _known: Vocabulary = field(init=False, default_factory=edits.vocabulary)
    _terms: dict[UUID, PlanTerms] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        if self.plan is not None:
            self.promised = promises.of(self.plan)
            self._terms[self.plan.pk] = self._terms_of(self.plan, self.promised)

    def entitled(self, present: Entitlements) -> Entitlements:
        """What a tenant may do under the trial, at the same instant. Raises NothingToTry."""
        if self.plan is not None:
            return replace(present, plan=self._terms[self.plan.pk])
        if present.plan is None:
            return present
        own = present.plan.id
        if own not in self._terms:
            row = Plan.objects.get(pk=own)
            self._terms[own] = self._terms_of(row, promises.of(row))
        return replace(present, plan=self._terms[own])

    def _terms_of(self, plan: Plan, promised: Promises) -> PlanTerms:
        try:
            return trial.plan_terms(plan, edits.edited(promised, self.changes, self._known), self.catalogue)
        except EditRefused as refused:
            raise NothingToTry("changes", f"{plan}: {refused}") from None


def plan_named(code: str, revision: int | str | None) -> Plan:
    """A revision of a plan: of that number, the newest draft (“draft”), or that where there is one, else the active.

    Raises NothingToTry.
    """
    revisions = Plan.objects.filter(code=code).order_by("-revision")
    if not revisions:
        known = ", ".join(Plan.objects.order_by("code").values_list("code", flat=True).distinct())
        raise NothingToTry("plan", f"There is no plan {code}. Known: {known or 'none'}.")
    wanted = [plan for plan in revisions if plan.status == PlanStatus.DRAFT]
    if revision is None:
        wanted += [plan for plan in revisions if plan.status == PlanStatus.ACTIVE]
    elif revision != DRAFT:
        wanted = [plan for plan in revisions if plan.revision == revision]
    if not wanted:
        known = ", ".join(f"{plan.revision} ({plan.status.lower()})" for plan in revisions)
        raise NothingToTry("revision", f"{code} has no such revision. Known: {known}.")
    return wanted[0]


def require_something(plan: Plan | None, changes: Sequence[str]) -> None:
    """Make sure that there is something to try, and that the changes can be made. Raises NothingToTry."""
    if plan is None and not changes:
        raise NothingToTry("plan", "Name a plan or changes: otherwise nothing would be different.")
    Trial(plan=plan, changes=changes)


def tenant_named(ati_id: str) -> UUID:
    """A tenant by its public id. Raises NothingToTry."""
    found = Tenant.objects.filter(ati_id=ati_id).values_list("id", flat=True).first()
    if found is None:
        raise NothingToTry("tenant", f"There is no tenant {ati_id}.")
    return found


def whom(plan: Plan | None, tenant: UUID | None, *, everybody: bool = False) -> list[UUID]:
    """The tenants to try it on: the one named, all, or those whose plan in force is a revision of the plan."""
    if tenant is not None:
        return [tenant]
    if everybody or plan is None:
        return list(Tenant.objects.order_by("ati_id").values_list("id", flat=True))
    holders = TenantPlan.objects.filter(plan__code=plan.code).order_by("tenant__ati_id")
    return list(holders.values_list("tenant_id", flat=True))


def note(trial: Trial, at: datetime) -> bool:
    """Note on a draft that it was tried as it is, on all who hold its plan; whether it was noted.

    Not where it is no draft, was tried with changes, or was edited while it was tried.
    """
    if trial.plan is None or trial.promised is None or trial.changes or trial.plan.status != PlanStatus.DRAFT:
        return False
    return revisions.simulated(trial.plan, at, trial.promised)
