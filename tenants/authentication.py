"""From a request's credentials to one frozen `Caller`: a service key, an ATI token, or both."""

import threading
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from math import ceil
from time import monotonic
from uuid import UUID

from django.conf import settings
from django.db.models import Q
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from tenants import facts, tokens, versions
from tenants.facts import KeyFacts, TenantFacts, TokenFacts
from tenants.models import Scope, ServiceKey
from tenants.versions import Numbers


class Unauthenticated(Exception):
    """No credential, or one that does not authenticate. The message says what to do."""


class Throttled(Exception):
    """The key made too many calls; it may try again after so many seconds."""

    def __init__(self, retry_after_seconds: int) -> None:
        super().__init__(f"Too many calls with this key; try again in {retry_after_seconds} s.")
        self.retry_after_seconds = retry_after_seconds


@dataclass(frozen=True, slots=True)
class Credentials:
    """The secrets of one request, parsed. They never appear in logs: the texts are not kept."""

    bearer: tokens.Presented | None
    ati: tokens.Presented | None
    has_ati: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who calls, and what the answer to "who" relied on.

    `tenant` is the only tenant the caller may act for (None = any); `user_key` the user it is, under an ATI
    token. `sees_all`: it may read the usage of every user of its tenant. `calls_per_second` is its key's.
    `has_bad_ati_token`: an X-ATI-Token came along that does not authenticate.
    """

    scopes: frozenset[Scope]
    key: UUID | None
    tenant: UUID | None
    user_key: str | None
    sees_all: bool
    numbers: Numbers
    until: datetime | None
    calls_per_second: int | None = None
    has_bad_ati_token: bool = False
    is_authenticated: bool = field(default=True, init=False)


def _presented(text: str | None) -> tokens.Presented | None:
    return tokens.parse(text.strip()) if text else None


def credentials_of(request: Request) -> Credentials:
    """The credentials that a request carries."""
    scheme, _, text = request.headers.get("Authorization", "").partition(" ")
    bearer = _presented(text) if scheme.lower() == "bearer" else None
    beside = request.headers.get("X-ATI-Token")
    return Credentials(bearer=bearer, ati=_presented(beside), has_ati=beside is not None)


def resolve(credentials: Credentials, *, now: datetime, fresh: bool) -> Caller:
    """The caller behind credentials. Raises Unauthenticated, or TenantUnknown where key and token disagree.

    `fresh` compares this process's snapshots with the database first (one query): for every answer that no
    ledger call confirms. Whoever is turned away, or whose X-ATI-Token is, was compared in any case.
    """
    if not fresh:
        with suppress(Unauthenticated, facts.TenantUnknown):
            caller = _resolve(credentials, now)
            if not caller.has_bad_ati_token:
                return caller
    return _resolve(credentials, refresh(credentials))


def refresh(credentials: Credentials) -> datetime:
    """Compare what answers about these credentials rest on, and the catalogue, with the database: its clock."""
    subjects = [versions.KEYS, versions.CATALOGUE]
    for presented in (credentials.bearer, credentials.ati):
        if presented is not None and presented.kind == tokens.ATI:
            tenant = facts.tenant_of_token(presented.public)
            if tenant is not None:
                subjects.append(tenant.id)
    return versions.refresh(*subjects)


def _resolve(credentials: Credentials, now: datetime) -> Caller:
    presented = credentials.bearer
    if presented is None:
        raise Unauthenticated("Send a service key or an ATI token as “Authorization: Bearer …”.")
    if presented.kind == tokens.ATI:
        tenant, token = _token(presented, now)
        return Caller(
            scopes=frozenset({Scope.ENFORCE, Scope.READ}), key=None, tenant=tenant.id,
            user_key=str(token.user), sees_all=token.sees_all, numbers=Numbers(tenant=tenant.number),
            until=token.until,
        )  # fmt: skip
    ring = facts.keys()
    key = _key(ring, presented, now)
    if not credentials.has_ati:
        return _keyed(key, ring)
    try:
        if credentials.ati is None or credentials.ati.kind != tokens.ATI:
            raise Unauthenticated("X-ATI-Token is not an ATI token.")
        tenant, token = _token(credentials.ati, now)
    except Unauthenticated:
        return _keyed(key, ring, has_bad_ati_token=True)
    if key.tenant is not None and key.tenant != tenant.id:
        raise facts.TenantUnknown(tenant.id)
    return Caller(
        scopes=key.scopes, key=key.id, tenant=tenant.id, user_key=str(token.user), sees_all=token.sees_all,
        numbers=Numbers(keys=ring.number, tenant=tenant.number), until=_earlier(key.until, token.until),
        calls_per_second=key.calls_per_second,
    )  # fmt: skip


def _keyed(key: KeyFacts, ring: facts.KeyRing, *, has_bad_ati_token: bool = False) -> Caller:
    return Caller(
        scopes=key.scopes, key=key.id, tenant=key.tenant, user_key=None, sees_all=True,
        numbers=Numbers(keys=ring.number), until=key.until, calls_per_second=key.calls_per_second,
        has_bad_ati_token=has_bad_ati_token,
    )  # fmt: skip


def _earlier(one: datetime | None, other: datetime | None) -> datetime | None:
    return min((at for at in (one, other) if at is not None), default=None)


def _key(ring: facts.KeyRing, presented: tokens.Presented, now: datetime) -> KeyFacts:
    key = ring.keys.get(presented.public)
    if key is None or not presented.matches(key.hash):
        raise Unauthenticated("This service key is not known. Check it, or ask for a new one.")
    if key.until is not None and now >= key.until:
        raise Unauthenticated("This service key has expired or was revoked. Ask for a new one.")
    return key


def _token(presented: tokens.Presented, now: datetime) -> tuple[TenantFacts, TokenFacts]:
    tenant = facts.tenant_of_token(presented.public)
    token = tenant.tokens.get(presented.public) if tenant else None
    if tenant is None or token is None or not presented.matches(token.hash):
        raise Unauthenticated("This ATI token is not known. Check it, or ask your admin for a new one.")
    if token.user is None:
        raise Unauthenticated("This ATI token is an invitation: sign up with it; it authenticates no call.")
    if not token.is_usable or (token.until is not None and now >= token.until):
        raise Unauthenticated("This ATI token is expired, suspended or revoked. Ask your admin for a new one.")
    return tenant, token


def tenant_of(caller: Caller, named: str | None) -> TenantFacts | None:
    """The tenant a caller acts for: its own, or the one it names. None where it names none and has none.

    Raises TenantUnknown where the named one does not exist or is not the caller's.
    """
    if caller.tenant is None and named is None:
        return None
    found = facts.tenant(caller.tenant) if caller.tenant is not None else facts.tenant_named(named or "")
    if found is None or named not in (None, found.ati_id):
        raise facts.TenantUnknown(named)
    return found


class Buckets:
    """Calls per second of each service key: its number, divided by the processes that share the work."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._levels: dict[UUID, tuple[float, float]] = {}

    def take(self, key: UUID, calls_per_second: int, at: float) -> None:
        """Count one call at the monotonic time `at`. Raises Throttled where the bucket is empty."""
        rate = calls_per_second / settings.API_PROCESSES
        room = max(1.0, rate)
        with self._guard:
            level, then = self._levels.get(key, (room, at))
            level = min(room, level + (at - then) * rate)
            self._levels[key] = (level - 1 if level >= 1 else level, at)
        if level < 1:
            raise Throttled(ceil((1 - level) / rate))


buckets = Buckets()
_used_on: dict[UUID, date] = {}


def _count(key_id: UUID, calls_per_second: int, now: datetime) -> None:
    buckets.take(key_id, calls_per_second, monotonic())
    today = now.date()
    if _used_on.get(key_id) != today:
        ServiceKey.objects.filter(Q(last_used_on__isnull=True) | Q(last_used_on__lt=today), pk=key_id).update(
            last_used_on=today
        )
        _used_on[key_id] = today


class CallerAuthentication(BaseAuthentication):
    """DRF's door: `request.user` is the Caller, `request.auth` its Credentials.

    A view whose answer no ledger call confirms says `is_confirmed_by_ledger = False`, the default.
    """

    def authenticate(self, request: Request) -> tuple[Caller, Credentials]:
        credentials = credentials_of(request)
        now = datetime.now(UTC)
        view = (request.parser_context or {}).get("view")
        fresh = not getattr(view, "is_confirmed_by_ledger", False)
        caller = resolve(credentials, now=now, fresh=fresh)
        if caller.key is not None and caller.calls_per_second is not None:
            _count(caller.key, caller.calls_per_second, now)
        return caller, credentials

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="api"'


class CallerScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # drf-spectacular's metaclass
    """How the schema describes a caller's credentials."""

    target_class = CallerAuthentication
    name = "bearer"

    def get_security_definition(self, auto_schema: object) -> dict[str, str]:
        return {
            "type": "http",
            "scheme": "bearer",
            "description": "A service key (mk_…) or an ATI token (ati_…).",
        }
