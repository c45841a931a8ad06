"""The erasure of one user: taken up where it was stopped, repeated until nothing names them, and proven.

The pseudonym is random and the same everywhere, so what they used still adds up to one. Ids of meters stay: they are
made under the tenant's secret, so they name nobody, and who comes back finds what is used of a running period.
"""

import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from django.db import transaction
from django.utils import timezone

from tenants import database
from tenants.models import Tenant
from usage.archive.months import alone
from usage.erasure import account, archived, places, rollups, slices, words
from usage.erasure.places import LOG, Table
from usage.erasure.proof import Proof, Tell
from usage.models import Erasure

_ROUNDS = 5
# A permit is erased before what is booked on it, so that new log rows name the pseudonym.
_FIRST = ("plans_policyrule", "usage_usagereservation", "usage_denial", LOG, "usage_usageevent")


class StillNamed(Exception):
    """Somebody goes on naming the user."""


def look(tenant: Tenant, user_key: str, archive: Path | None, tell: Tell) -> list[Proof]:
    """Where a user is named, without a change; `archive` None: not in files. Raises NotHere, Missing."""
    if archive is not None:
        archived.require_here(archive)
    person = account.of(tenant, user_key)
    known = [user_key] if person is None else [user_key, person.email]
    about: dict[str, Any] = {
        "tenant": tenant.id, "key": user_key, "pattern": words.pattern(known), "pseudonym": _pseudonym(),
    }  # fmt: skip
    wanted = Erasure(tenant=tenant, user_key=user_key, pattern=about["pattern"], pseudonym=about["pseudonym"])
    return _scan(about, tell) + (archived.look(archive, wanted, known, tell) if archive else [])


def erase(tenant: Tenant, user_key: str, archive: Path | None, tell: Tell) -> tuple[str, list[Proof]]:
    """Erases a user; the pseudonym, and the proof that nothing names them. `archive` None: files are left as they are.

    Raises Refused, OnlyOwner, StillNamed, NotHere, Missing, Differs.
    """
    with alone():
        if archive is not None:
            archived.require_here(archive)
        erasure = _begun(tenant, user_key)
        person = account.of(tenant, user_key)
        if person is not None and not account.is_erased(person):
            account.require_another_owner(person)
            account.erase(person)
        about: dict[str, Any] = {
            "tenant": tenant.id, "key": user_key, "pattern": erasure.pattern, "pseudonym": erasure.pseudonym,
        }  # fmt: skip
        known = [user_key] if erasure.email is None else [user_key, erasure.email]
        for _ in range(_ROUNDS):
            _erase_everywhere(erasure, about, tell)
            proof = _scan(about, tell)
            if not any(each.named for each in proof):
                break
        else:
            raise StillNamed(_told([each for each in proof if each.named]))
        if archive is not None:
            archived.erase(archive, erasure, known, tell)
            proof += archived.look(archive, erasure, known, tell)
            if left := [each for each in proof if each.named]:
                raise StillNamed(_told(left))
        _finish(erasure)
    return erasure.pseudonym, proof


def is_begun(tenant: Tenant, user_key: str) -> bool:
    """Whether an erasure of the user was stopped before it forgot them."""
    return Erasure.objects.filter(tenant=tenant, user_key=user_key).exists()


def _told(left: Sequence[Proof]) -> str:
    where = ", ".join(f"{each.table}.{each.column} ({each.named:,} rows)" for each in left)
    return f"Something goes on naming this user: {where}. Stop their calls, then run this again."


def _begun(tenant: Tenant, user_key: str) -> Erasure:
    """The erasure that was stopped, or a new one."""
    begun = Erasure.objects.filter(tenant=tenant, user_key=user_key).first()
    if begun is not None:
        return begun
    person = account.of(tenant, user_key)
    email = None if person is None or account.is_erased(person) else person.email
    known = [user_key] if email is None else [user_key, email]
    return Erasure.objects.create(
        tenant=tenant, user_key=user_key, email=email, pattern=words.pattern(known), pseudonym=_pseudonym()
    )


def _pseudonym() -> str:
    return f"erased-{secrets.token_hex(12)}"


def _erase_everywhere(erasure: Erasure, about: Mapping[str, Any], tell: Tell) -> None:
    found = {table.name: table for table in places.tables()}
    for name in [*_FIRST, *(name for name in found if name not in _FIRST)]:
        tell(name)
        if name == LOG:
            _erase_log(found[name], erasure, about)
        elif name in rollups.TABLES:
            rollups.erase(name, about)
        else:
            slices.erase(found[name], about)


def _erase_log(table: Table, erasure: Erasure, about: Mapping[str, Any]) -> None:
    for bounds in slices.of(table, about):
        with database.short_statements():
            database.rows(
                "SELECT ledger_erase_log(%(tenant)s, %(erasure)s, %(after)s, %(through)s)",
                {
                    "tenant": erasure.tenant_id,
                    "erasure": erasure.id,
                    "after": bounds["after"] or "00000000-0000-0000-0000-000000000000",
                    "through": bounds["through"] or "ffffffff-ffff-ffff-ffff-ffffffffffff",
                },
            )


def _scan(about: Mapping[str, Any], tell: Tell) -> list[Proof]:
    proof = []
    for table in places.tables():
        tell(table.name)
        rows, named = slices.count(table, about)
        proof += [Proof(table.name, column, rows, number) for column, number in named.items()]
    return proof


def _finish(erasure: Erasure) -> None:
    """Forgets who it was."""
    with transaction.atomic():
        erasure.user_key = erasure.email = erasure.pattern = None
        erasure.finished_at = timezone.now()
        erasure.save(update_fields=["user_key", "email", "pattern", "finished_at"])
