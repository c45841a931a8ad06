"""The endpoints of a reservation's life. Parse, call one function, answer."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from django.http import HttpResponse
from rest_framework.request import Request

from enforcement import asks, errors, explanation, gatekeeper, metrics, settlement
from enforcement.base import KIB, LedgerView, key_of, request_id
from enforcement.bookings import Bookings
from enforcement.decisions import Ask, Decision, instant
from enforcement.explanation import Tale
from enforcement.headers import quota_headers
from enforcement.wire import Batch, CommitBody, EnforceBody, ExtendBody, ReleaseBody, parse
from plans import entitlements
from tenants.authentication import Caller
from tenants.views import json_answer, note
from usage import ledger
from usage.entries import Answer, End, Ending, Outcome
from usage.measures import BadUsage

_REPLAYED = {"Idempotent-Replayed": "true"}


class EnforceView(LedgerView):
    """Ask and hold: permit or refusal, with the parameters the call may have."""

    def post(self, request: Request) -> HttpResponse:
        body = parse(self.body(request), EnforceBody)
        key = key_of(request, body.idempotency_key)
        if key is None:
            raise errors.KeyMissing("Send an Idempotency-Key header, so that a repeated request is granted once.")
        ask = body.ask(request_id(request))
        note(request, tenant=body.tenant)  # for whom it was, whatever becomes of it
        decision = self.decide(request, lambda caller, now: gatekeeper.enforce(caller, ask, key=key, now=now))
        metrics.decided(decision)
        return _decided(request, body.tenant, decision)


class CheckView(LedgerView):
    """What enforce would answer now, and with `?explain=1` why; holds and promises nothing."""

    def post(self, request: Request) -> HttpResponse:
        body = parse(self.body(request), EnforceBody)
        ask = body.ask(None)
        if not _is_why_asked(request):
            decision = self.decide(request, lambda caller, now: gatekeeper.check(caller, ask, now=now))
            return _decided(request, body.tenant, decision)
        decision, tale = self.decide(request, lambda caller, now: _checked(caller, ask, now))
        return _decided(request, body.tenant, decision, explanation=explanation.explain(tale))


def _is_why_asked(request: Request) -> bool:
    """Raises Invalid."""
    asked = request.query_params.get("explain", "0")
    if asked not in ("0", "1"):
        raise errors.Invalid("explain", "1 to be told why, or leave it out.")
    return asked == "1"


def _checked(caller: Caller, ask: Ask, now: datetime) -> tuple[Decision, Tale]:
    """A check with the matter of its explanation."""
    decision = gatekeeper.check(caller, ask, now=now)
    tenant = None if caller.has_bad_ati_token else asks.tenant_of(caller, ask.tenant)
    if tenant is None:
        return decision, Tale.of_check(decision, ask, tenant=None, user=None, task=None)
    task = asks.task_of(entitlements.catalogue(), ask.task, ask.feature)
    user = asks.user_of(caller, ask.user)
    return decision, Tale.of_check(decision, ask, tenant=tenant.ati_id, user=user, task=task)


def _decided(request: Request, tenant: str | None, decision: Decision, **more: object) -> HttpResponse:
    note(request, tenant=tenant, code=decision.code, reservation_id=decision.reservation_id)
    headers = quota_headers(decision) | (_REPLAYED if decision.is_replayed else {})
    body = decision.wire() | more
    if body["retryable"]:
        headers["Retry-After"] = str(body["retry_after_seconds"])
    return json_answer(body, headers=headers)


class EnforceBatchView(LedgerView):
    """Up to 500 asks in one call; each is decided, and fails, by itself."""

    most_bytes: ClassVar[int] = 2048 * KIB

    def post(self, request: Request) -> HttpResponse:
        items = parse(self.body(request), Batch).items
        results: list[Decision | Exception | None] = [None] * len(items)
        asks = []
        for place, item in enumerate(items):
            try:
                body = parse(item, EnforceBody)
                if body.idempotency_key is None:
                    raise errors.KeyMissing("Each item of a batch needs its own idempotency_key.")
                ask = body.ask(request_id(request))
                asks.append((place, (body.idempotency_key, ask)))
            except (errors.Invalid, errors.KeyMissing, errors.Malformed) as error:
                results[place] = error
        decided = self.decide(
            request, lambda caller, now: gatekeeper.enforce_batch(caller, [ask for _, ask in asks], now=now)
        )
        for (place, _), result in zip(asks, decided, strict=True):
            results[place] = result
            if isinstance(result, Decision):
                metrics.decided(result)
        return self.batch([each.wire() if isinstance(each, Decision) else each for each in results])


class CommitView(LedgerView):
    """Book what was really used; the same body again gets the first answer."""

    def post(self, request: Request, reservation_id: UUID) -> HttpResponse:
        body = parse(self.body(request), CommitBody)
        answer = self.decide(request, lambda caller, _: _commit(caller, reservation_id, body, None))
        metrics.booked(answer, body, entitlements.catalogue())
        return _booked(request, answer, settlement.committed)


class ReportView(LedgerView):
    """Book what was used so far; the rest of the hold stays."""

    def post(self, request: Request, reservation_id: UUID) -> HttpResponse:
        body = parse(self.body(request), CommitBody)
        answer = self.decide(request, lambda caller, _: _commit(caller, reservation_id, body, Ending.REPORT))
        metrics.booked(answer, body, entitlements.catalogue())
        return _booked(request, answer, settlement.reported)


class ReleaseView(LedgerView):
    """Give the hold back: nothing was used."""

    def post(self, request: Request, reservation_id: UUID) -> HttpResponse:
        body = parse(self.body(request) or b"{}", ReleaseBody)
        end = End(
            kind=Ending.RELEASED,
            totals=(None,) * 7,
            fingerprint=ledger.fingerprint("release", None, {"reason": body.reason}),
            facts={"error": body.reason[:500]} if body.reason else {},
        )
        answer = self.decide(request, lambda caller, _: _end(caller, reservation_id, end, body.tenant))
        found = settlement.settled(answer)
        return _settled(request, answer, {"reservation_id": found["reservation_id"], "status": found["status"]})


class ExtendView(LedgerView):
    """Move the deadline of an open reservation."""

    def post(self, request: Request, reservation_id: UUID) -> HttpResponse:
        body = parse(self.body(request), ExtendBody)

        def extend(caller: Caller, now: datetime) -> Answer:
            tenant = settlement.tenant_for(caller, body.tenant)
            basis = settlement.basis_of(caller, None)
            return ledger.extend(tenant, basis, reservation_id, body.ttl_seconds, user=caller.user_key)

        answer = self.decide(request, extend)
        settlement.settled(answer)
        assert answer.expires_at is not None  # noqa: S101 - an open reservation has a deadline
        left = max(0, round((answer.expires_at - answer.at).total_seconds()))
        found = {"reservation_id": answer.id, "status": answer.status, "expires_at": instant(answer.expires_at)}
        return _settled(request, answer, found | {"ttl_seconds": left})


def _end(caller: Caller, reservation: UUID, end: End, tenant: str | None, *, is_priced: bool = False) -> Answer:
    catalogue = entitlements.catalogue() if is_priced else None
    basis = settlement.basis_of(caller, catalogue)
    return ledger.end(settlement.tenant_for(caller, tenant), basis, reservation, end, user=caller.user_key)


def _commit(caller: Caller, reservation: UUID, body: CommitBody, kind: Ending | None) -> Answer:
    if body.reservation_id not in (None, reservation):
        raise errors.Invalid("reservation_id", "It differs from the address; leave it out.")
    end = settlement.ending(
        body, settlement.totals_of(body), entitlements.catalogue(), settlement.started_at(reservation), kind=kind
    )
    return _end(caller, reservation, end, body.tenant, is_priced=True)


def _booked(request: Request, answer: Answer, read: Callable[[Answer, Bookings], dict[str, Any]]) -> HttpResponse:
    booked = Bookings()
    body = read(answer, booked)
    booked.tell()
    return _settled(request, answer, body)


def _settled(request: Request, answer: Answer, body: dict[str, Any]) -> HttpResponse:
    note(request, tenant=answer.tenant, code=answer.outcome, reservation_id=answer.id)
    return json_answer(body, headers=_REPLAYED if answer.outcome == Outcome.REPLAY else None)


class CommitBatchView(LedgerView):
    """Up to 500 commits in one call: one transaction a tenant, each item answered by itself."""

    most_bytes: ClassVar[int] = 2048 * KIB

    def post(self, request: Request) -> HttpResponse:
        items = parse(self.body(request), Batch).items
        results: list[dict[str, Any] | Exception | None] = [None] * len(items)
        bodies: list[tuple[int, CommitBody]] = []
        for place, item in enumerate(items):
            try:
                body = parse(item, CommitBody)
                if body.reservation_id is None:
                    raise errors.Invalid("reservation_id", "Say which reservation this item commits.")
                bodies.append((place, body))
            except (errors.Invalid, errors.Malformed) as error:
                results[place] = error
        for place, result in self.decide(request, lambda caller, _: _commit_together(caller, bodies)):
            results[place] = result
        return self.batch(results)


Placed = tuple[int, dict[str, Any] | Exception]


def _commit_together(caller: Caller, bodies: Sequence[tuple[int, CommitBody]]) -> list[Placed]:
    catalogue = entitlements.catalogue()
    basis = settlement.basis_of(caller, catalogue)
    results: list[Placed] = []
    ends: list[tuple[int, CommitBody, UUID, End]] = []
    for place, body in bodies:
        assert body.reservation_id is not None  # noqa: S101 - checked by the view
        try:
            at = settlement.started_at(body.reservation_id)
            ends.append(
                (place, body, body.reservation_id, settlement.ending(body, settlement.totals_of(body), catalogue, at))
            )
        except (errors.Invalid, BadUsage) as error:
            results.append((place, error))
    named = caller.tenant
    ids = [reservation for _, _, reservation, _ in ends]
    owners = ledger.tenants_of(ids) if named is None else dict.fromkeys(ids, named)
    groups: defaultdict[UUID, list[tuple[int, CommitBody, UUID, End]]] = defaultdict(list)
    for place, body, reservation, end in ends:
        try:
            tenant = settlement.tenant_for(caller, body.tenant)
            owner = owners.get(reservation)
            if owner is None or tenant not in (None, owner):
                raise errors.Unknown(settlement.MISSING)
            groups[owner].append((place, body, reservation, end))
        except errors.Unknown as error:
            results.append((place, error))
    if not groups:
        asks.confirm_caller(caller)
    for tenant, group in groups.items():
        booked = Bookings()
        endings = [(each, end) for _, _, each, end in group]
        for (place, body, *_), answer in zip(
            group, ledger.end_batch(tenant, basis, endings, user=caller.user_key), strict=True
        ):
            metrics.booked(answer, body, catalogue)
            try:
                results.append((place, settlement.committed(answer, booked)))
            except (errors.Unknown, errors.KeyConflict, errors.Ended) as error:
                results.append((place, error))
        booked.tell()  # a later tenant's may be decided again, and these are replays then
    return results
