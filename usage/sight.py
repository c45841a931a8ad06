"""Whose usage a caller may read."""

from dataclasses import dataclass

from rest_framework.exceptions import ValidationError

from tenants import facts, versions
from tenants.authentication import Caller, Unauthenticated, tenant_of
from tenants.facts import TenantFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """One tenant's usage; where `user` is set only what that user did, beside what the whole tenant shares."""

    tenant: TenantFacts
    user: str | None


def of(caller: Caller, named: str | None) -> Sight:
    """What a caller sees of its tenant, or of the one that an any-tenant key names.

    Compares the snapshots of catalogue and tenant with the database (one query), so that what is shown is what is
    in force. Raises ValidationError where no tenant is named, TenantUnknown for a stranger, Unauthenticated for an
    X-ATI-Token that does not authenticate.
    """
    if caller.has_bad_ati_token:
        raise Unauthenticated("X-ATI-Token is unknown, expired, revoked or an invitation.")
    tenant = tenant_of(caller, named)
    if tenant is None:
        raise ValidationError({"tenant": "This key may act for any tenant: say whose usage to read."})
    versions.refresh(versions.CATALOGUE, tenant.id)
    return Sight(tenant=facts.tenant(tenant.id), user=None if caller.sees_all else caller.user_key)
