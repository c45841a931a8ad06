"""What an ask names, and what the answer to it rests on: caller, tenant, user, task, numbers."""

from uuid import UUID

from enforcement.errors import Invalid, Unknown
from plans import entitlements
from plans.terms import Catalogue, Entitlements, TaskTerms
from tenants import authentication, facts, versions
from tenants.authentication import Caller
from tenants.facts import TenantFacts
from tenants.versions import Numbers
from usage import ledger
from usage.entries import Answer, Basis

_NOWHERE = UUID(int=0)


def basis_of(caller: Caller, entitled: Entitlements) -> Basis:
    """What an answer relies on that was decided by these entitlements for this caller.

    Raises Stale where the snapshot of the tenant's tokens and that of its terms are not of the same number.
    """
    if caller.numbers.tenant not in (None, entitled.tenant.number):
        raise ledger.Stale(versions.refresh(entitled.tenant.facts.id))
    return Basis(
        numbers=Numbers(entitled.catalogue.number, caller.numbers.keys, entitled.tenant.number),
        since=entitled.valid_from,
        until=min(entitled.valid_until, caller.until) if caller.until else entitled.valid_until,
    )


def confirm_caller(caller: Caller) -> Answer:
    """Confirms the credential alone, for an answer that reached no meter. Raises Stale."""
    basis = Basis(numbers=caller.numbers, since=entitlements.EVER[0], until=caller.until or entitlements.EVER[1])
    return ledger.confirm(caller.tenant or _NOWHERE, basis, key=None, asked="")


def tenant_of(caller: Caller, named: str | None) -> TenantFacts | None:
    """The tenant a caller acts for: its own, or the one it names. None where it names none and has none.

    Raises Unknown where the named one does not exist or is not the caller's.
    """
    try:
        return authentication.tenant_of(caller, named)
    except facts.TenantUnknown:
        raise Unknown(f"There is no tenant {named} here.") from None


def user_of(caller: Caller, named: str | None) -> str | None:
    """The user an ask is for: under an ATI token that token's. Raises Invalid where another is named."""
    if caller.user_key is None:
        return named
    if named not in (None, caller.user_key):
        raise Invalid("user", f"This ATI token is of user {caller.user_key}: leave the field out, or send that.")
    return caller.user_key


def task_of(catalogue: Catalogue, task: str | None, feature: str | None) -> TaskTerms:
    """The task an ask names, itself or through a feature that has only one. Raises Invalid, listing what is known."""
    if task is None and feature is None:
        raise Invalid("task", "Say which task or feature the call is for.")
    if feature is not None and feature not in catalogue.features:
        raise Invalid("feature", f"{feature} is not known. Known: {', '.join(catalogue.features)}.")
    if task is not None:
        found = catalogue.tasks.get(task)
        if found is None:
            raise Invalid("task", f"{task} is not known. Known: {', '.join(catalogue.tasks)}.")
        if feature is not None and found.feature != feature:
            raise Invalid("feature", f"{task} belongs to {found.feature}, not to {feature}.")
        return found
    candidates = catalogue.tasks_of(feature or "")
    if not candidates:
        raise Invalid("feature", f"{feature} has no task yet.")
    if len(candidates) != 1:
        raise Invalid("task", f"{feature} has several tasks, name one: {', '.join(candidates)}.")
    return catalogue.tasks[candidates[0]]


def require_class(catalogue: Catalogue, model_class: str | None) -> None:
    """Raises Invalid, listing what is known, where a class is not."""
    if model_class is not None and model_class not in catalogue.classes:
        raise Invalid("model_class", f"{model_class} is not known. Known: {', '.join(catalogue.classes)}.")
