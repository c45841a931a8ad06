"""What a process knows of keys and tenants: immutable snapshots, as current as their number."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from uuid import UUID

from tenants import versions
from tenants.database import repeatable
from tenants.models import (
    ATIToken,
    EnforcementMode,
    Scope,
    ServiceKey,
    Tenant,
    TenantStatus,
    TokenStatus,
    UserStatus,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyFacts:
    """A service key as it authenticates: usable in [any time, until)."""

    id: UUID
    hash: bytes
    scopes: frozenset[Scope]
    tenant: UUID | None
    calls_per_second: int
    until: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenFacts:
    """An ATI token as it authenticates: its user's calls, until `until`; never where `user` is None."""

    id: UUID
    hash: bytes
    user: UUID | None
    sees_all: bool
    is_usable: bool
    until: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRing:
    """All service keys by their public part."""

    number: int
    keys: Mapping[str, KeyFacts]


@dataclass(frozen=True, slots=True, kw_only=True)
class RootPlan:
    """What the root token says: `plan` from `starts_at`, `next_plan` from `next_at`, none from `ends_at`."""

    plan: UUID
    starts_at: datetime
    ends_at: datetime | None
    next_plan: UUID | None
    next_at: datetime | None

    def in_force(self, now: datetime) -> UUID | None:
        """The id of the plan in force at `now`."""
        if now < self.starts_at or (self.ends_at is not None and now >= self.ends_at):
            return None
        return self.next_plan if self.next_at is not None and now >= self.next_at else self.plan

    def changes(self) -> tuple[datetime, ...]:
        """The instants at which `in_force` may change."""
        return tuple(at for at in (self.starts_at, self.ends_at, self.next_at) if at is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantFacts:
    """A tenant with its calendar, its tokens and its plan's dates."""

    number: int
    id: UUID
    ati_id: str
    is_active: bool
    mode: EnforcementMode
    timezone: str
    anchor_day: int
    calendar_since: datetime | None
    next_calendar: tuple[str, int, datetime] | None
    meter_secret: bytes
    root: RootPlan | None
    tokens: Mapping[str, TokenFacts]


class TenantUnknown(LookupError):
    """There is no such tenant."""


def _load_keys(subject: UUID) -> KeyRing:
    with versions.one_instant():
        number = versions.number_of(subject)
        rows = list(ServiceKey.objects.all())
    keys = {
        row.prefix: KeyFacts(
            id=row.id,
            hash=bytes(row.hash),
            scopes=frozenset(Scope(scope) for scope in row.scopes),
            tenant=row.tenant_id,
            calls_per_second=row.calls_per_second,
            until=_earliest(row.expires_at, row.revoked_at),
        )
        for row in rows
    }
    return KeyRing(number=number, keys=MappingProxyType(keys))


def _earliest(*instants: datetime | None) -> datetime | None:
    return min((at for at in instants if at is not None), default=None)


def read_tenant(tenant_id: UUID) -> TenantFacts:
    """The facts as they stand; call it inside `versions.one_instant()`. TenantUnknown where there is none."""
    number = versions.number_of(tenant_id)
    tenant = Tenant.objects.filter(pk=tenant_id).select_related("root_token").first()
    if tenant is None:
        raise TenantUnknown(tenant_id)
    tokens = {
        row.fingerprint: TokenFacts(
            id=row.id,
            hash=bytes(row.hash),
            user=row.user_id,
            sees_all=row.user is not None and row.user.sees_all,
            is_usable=row.user is not None
            and row.status == TokenStatus.ACTIVE
            and row.user.status == UserStatus.ACTIVE,
            until=row.expires_at,
        )
        for row in ATIToken.objects.for_tenant(tenant).select_related("user")
    }
    change = tenant.next_calendar_at
    return TenantFacts(
        number=number,
        id=tenant.id,
        ati_id=tenant.ati_id,
        is_active=tenant.status == TenantStatus.ACTIVE,
        mode=EnforcementMode(tenant.enforcement_mode),
        timezone=tenant.timezone,
        anchor_day=tenant.billing_anchor_day,
        calendar_since=tenant.calendar_since,
        next_calendar=(tenant.next_timezone or "", tenant.next_billing_anchor_day or 1, change) if change else None,
        meter_secret=bytes(tenant.meter_secret),
        root=_root_plan(tenant.root_token),
        tokens=MappingProxyType(tokens),
    )


def _root_plan(root: ATIToken | None) -> RootPlan | None:
    if root is None or root.plan_id is None or root.plan_starts_at is None:
        return None
    return RootPlan(
        plan=root.plan_id,
        starts_at=root.plan_starts_at,
        ends_at=root.plan_ends_at,
        next_plan=root.next_plan_id,
        next_at=root.next_plan_at,
    )


def _load_tenant(tenant_id: UUID) -> TenantFacts:
    with versions.one_instant():
        return read_tenant(tenant_id)


KEYS: versions.Shelf[KeyRing] = versions.Shelf(_load_keys, capacity=1)
TENANTS: versions.Shelf[TenantFacts] = versions.Shelf(_load_tenant, capacity=20_000)


def keys() -> KeyRing:
    """All service keys, as this process knows them."""
    return KEYS.get(versions.KEYS)


def tenant(tenant_id: UUID) -> TenantFacts:
    """A tenant, as this process knows it. TenantUnknown where there is none."""
    return TENANTS.get(tenant_id)


class _Names:
    """Public names to tenant ids, which never change: neither an ATI id nor a fingerprint's tenant does."""

    def __init__(self, capacity: int) -> None:
        self._ids: OrderedDict[str, UUID] = OrderedDict()
        self._capacity = capacity
        self._guard = threading.Lock()

    def get(self, name: str) -> UUID | None:
        with self._guard:
            return self._ids.get(name)

    def put(self, name: str, tenant_id: UUID) -> None:
        with self._guard:
            self._ids[name] = tenant_id
            if len(self._ids) > self._capacity:
                self._ids.popitem(last=False)

    def forget(self, name: str) -> None:
        with self._guard:
            self._ids.pop(name, None)

    def clear(self) -> None:
        with self._guard:
            self._ids.clear()


_by_ati_id = _Names(100_000)
_by_fingerprint = _Names(100_000)


def _find(names: _Names, name: str, ask: Callable[[], UUID | None]) -> TenantFacts | None:
    for _ in range(2):
        known = names.get(name)
        if known is None:
            known = ask()
            if known is None:
                return None
            names.put(name, known)
        try:
            return tenant(known)
        except TenantUnknown:
            names.forget(name)  # it was deleted; another tenant may bear the name by now
    return None


def tenant_named(ati_id: str) -> TenantFacts | None:
    """The tenant with this public name; None where there is none (asked of the database each time)."""

    def ask() -> UUID | None:
        return repeatable(Tenant.objects.filter(ati_id=ati_id).values_list("id", flat=True).first)

    return _find(_by_ati_id, ati_id, ask)


def tenant_of_token(fingerprint: str) -> TenantFacts | None:
    """The tenant whose token has this fingerprint; None where no token has it."""

    def ask() -> UUID | None:
        return repeatable(ATIToken.objects.filter(fingerprint=fingerprint).values_list("tenant_id", flat=True).first)

    return _find(_by_fingerprint, fingerprint, ask)
