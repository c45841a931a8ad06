"""What a constraint says, in words and beside the field it is about."""

from typing import NamedTuple, cast

import psycopg
from django.db import DatabaseError

from tenants.tokens import TokenError

_DATA, _INTEGRITY, _RAISED = "22", "23", "P0"


class Refusal(NamedTuple):
    """Why something cannot be stored, and the form field to say it at (None = above the form)."""

    sentence: str
    field: str | None = None


# By constraint name; each app adds its own beside its admin.
SENTENCES: dict[str, Refusal] = {
    "tenants_tenant_ati_id": Refusal("Upper-case letters, digits, - and _ only.", "ati_id"),
    "tenants_tenant_billing_anchor_day": Refusal("A day of the month, 1 to 31.", "billing_anchor_day"),
    "tenants_user_email": Refusal("Somebody has this e-mail already.", "email"),
    "tenants_user_super_admin_has_no_tenant": Refusal(
        "A super admin belongs to no tenant; everybody else belongs to one.", "tenant"
    ),
    "tenants_atitoken_max_uses_on_invitation": Refusal("Only an invitation counts its uses.", "max_uses"),
    "tenants_atitoken_plan_starts_before_end": Refusal("The plan must end after its start.", "plan_ends_at"),
    "tenants_atitoken_next_plan_before_end": Refusal(
        "The plan must end after the next plan takes over.", "plan_ends_at"
    ),
    "tenants_servicekey_scopes": Refusal("Choose at least one scope.", "scopes"),
    "tenants_servicekey_calls_per_second": Refusal("At least one call a second.", "calls_per_second"),
}


def refusal_of(error: DatabaseError | TokenError) -> Refusal | None:
    """The refusal behind an error; None where it is none (a broken connection, a mistake in a statement)."""
    if isinstance(error, TokenError):
        return Refusal(str(error))
    cause = cast("psycopg.Error | None", error.__cause__)
    if cause is None or (cause.sqlstate or "")[:2] not in {_DATA, _INTEGRITY, _RAISED}:
        return None
    name, message = cause.diag.constraint_name or "", cause.diag.message_primary or ""
    if name in SENTENCES:
        return SENTENCES[name]
    # Our triggers raise sentences for people; PostgreSQL's own messages name tables and constraints.
    if message.endswith(".") and "violates" not in message:
        return Refusal(message)
    return Refusal(f"The database refuses this ({name or message}). Nothing was changed.")
