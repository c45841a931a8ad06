"""Terms worked out once for all asks of a kind, while the snapshots they were read from are the ones in use."""

from uuid import UUID

from enforcement import gates
from enforcement.gates import Terms
from plans.terms import Entitlements, TaskTerms
from tenants import versions

MOST = 4_096
"""So many are kept by a process; when there is no more room it begins anew."""

_kept: dict[tuple[UUID, str, str | None], Terms] = {}
versions.cleared_with_all(_kept.clear)


def terms(entitled: Entitlements, task: TaskTerms, user: str | None) -> Terms:
    """As `gates.terms`. Its `entitled` may be of an earlier instant, between which and this one no date lies."""
    of = entitled.tenant.facts.id, task.code, user
    found = _kept.get(of)
    if found is None or not _are_the_same(found.entitled, entitled):
        if len(_kept) >= MOST:
            _kept.clear()
        found = _kept[of] = gates.terms(entitled, task, user)
    return found


def _are_the_same(one: Entitlements, other: Entitlements) -> bool:
    """Whether two read the same snapshots in the same window."""
    return one.catalogue is other.catalogue and one.tenant is other.tenant and one.valid_from == other.valid_from
