"""All that is kept of a user, as rows that people can read: what `manage.py export_user` writes."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson

from plans import money
from plans.charges import Measure
from tenants import database
from tenants.models import ATIToken, Tenant
from usage.archive import files, parquet
from usage.erasure import account, archived, places, slices
from usage.erasure.places import LOG, Table

KINDS = {
    "about": "this file: whose data it is, and what the kinds of lines are",
    "account": "the person's account",
    "token": "an ATI token of theirs",
    "plans_policyrule": "a limit that was set for them",
    "usage_usagemeter": "what they used and hold of a quota in one period",
    "usage_usagereservation": "a call that was permitted, as it was asked for and answered; kept for some days",
    "usage_denial": "calls that were refused, alike ones counted together; kept for 90 days",
    "usage_usagelog": "what a call used, and what was later corrected",
    "usage_usageevent": "usage that was reported afterwards; kept for 35 days",
}
# Derived from the log row by row, and what says nothing of a user: keys, hashes, and the books of the ledger.
_DERIVED = frozenset({"usage_usagerollup", "usage_dayrollup", "usage_denialrollup"})
_HIDDEN = frozenset(
    {
        "tenant_id", "model", "price", "rates", "fingerprint", "end_fingerprint", "meters", "measures", "periods",
        "amounts", "booked", "charges", "overruns", "helds", "readings", "totals", "held_totals", "result", "meter",
        "transaction_id", "bucket", "verified_at", "archived", "set_by_tenant", "rolled", "is_rolled", "decision",
    }
)  # fmt: skip
_MONEY = frozenset({"cost", "held_cost"})
_COUNTS = frozenset({"used", "reserved", "overrun", "limit_amount"})


def lines(tenant: Tenant, user_key: str, archive: Path | None, now: datetime) -> Iterator[bytes]:
    """JSON objects, one a line: the kind of each, and what it says. Money is USD. `archive` None: not of files.

    Raises NotHere, Missing, Differs.
    """
    if archive is not None:
        archived.require_here(archive)
    yield _line("about", {"tenant": tenant.ati_id, "user": user_key, "made_at": now, "kinds": KINDS})
    yield from _account(tenant, user_key)
    about = {"tenant": tenant.id, "key": user_key}
    for table in places.tables():
        if table.has_users and table.name not in _DERIVED:
            kind = LOG if table.name.startswith(LOG) else table.name
            for row in _rows(table, f'SELECT "t".* FROM {table.name} "t"', '"t".user_key = %(key)s', about):  # noqa: S608
                yield _line(kind, row)
        elif table.name == "usage_usageevent":
            mine = 'EXISTS (SELECT 1 FROM usage_usagelog l WHERE l.tenant_id = "t".tenant_id AND l.id = "t".log_id '
            for row in _rows(table, f'SELECT "t".* FROM {table.name} "t"', f"{mine} AND l.user_key = %(key)s)", about):  # noqa: S608
                yield _line(table.name, row)
    for row in _archived(tenant, user_key, archive) if archive else ():
        yield _line(LOG, row)


def _account(tenant: Tenant, user_key: str) -> Iterator[bytes]:
    person = account.of(tenant, user_key)
    if person is None:
        return
    names = ("id", "email", "name", "role", "status", "created_at", "last_login")
    yield _line("account", {name: getattr(person, name) for name in names})
    for token in ATIToken.objects.filter(user=person).order_by("created_at"):
        yield _line(
            "token", {name: getattr(token, name) for name in ("id", "name", "status", "created_at", "expires_at")}
        )


def _rows(table: Table, select: str, mine: str, about: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for bounds in slices.of(table, about):
        with database.short_statements():
            found = database.rows(
                f"SELECT to_jsonb(mine) FROM ({select} WHERE {slices.within(table, bounds)} AND {mine} "  # noqa: S608
                f'ORDER BY "t".{table.key}) AS mine',
                bounds,
            )
        for (row,) in found:
            yield row if isinstance(row, dict) else orjson.loads(row)


def _archived(tenant: Tenant, user_key: str, archive: Path) -> Iterator[dict[str, Any]]:
    for folder, manifest in files.archived(archive):
        with parquet.session(archive) as (db, _):
            found = db.execute(
                "SELECT to_json(l) FROM (SELECT * FROM read_parquet($files) "
                "WHERE tenant_id = $tenant::UUID AND user_key = $key ORDER BY id) l",
                {"files": [str(path) for path in manifest.paths(folder)], "tenant": str(tenant.id), "key": user_key},
            )
            while page := found.fetchmany(1_000):
                for (row,) in page:
                    yield orjson.loads(row)


def _line(kind: str, row: Mapping[str, Any]) -> bytes:
    shown = {name: _shown(row, name, value) for name, value in row.items() if name not in _HIDDEN or kind == "about"}
    return orjson.dumps({"kind": kind} | shown, default=str) + b"\n"


def _shown(row: Mapping[str, Any], name: str, value: Any) -> Any:  # noqa: ANN401 - a value of any column
    is_money = name in _MONEY or (name in _COUNTS and row.get("measure") == Measure.COST)
    return money.usd(int(value)) if is_money and value is not None else value
