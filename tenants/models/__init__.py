"""Who is asking: tenants, their people, the ATI tokens and service keys they call with. Import models from here."""

from tenants.models.constraints import closed, kept, one_of
from tenants.models.key import Scope, ServiceKey
from tenants.models.tenant import EnforcementMode, Tenant, TenantStatus, known_zone, meter_secret
from tenants.models.token import ATIToken, TenantPlan, TokenStatus
from tenants.models.user import Role, User, UserManager, UserStatus
from tenants.models.version import ConfigVersion

__all__ = [
    "ATIToken", "ConfigVersion", "EnforcementMode", "Role", "Scope", "ServiceKey", "Tenant", "TenantPlan",
    "TenantStatus", "TokenStatus", "User", "UserManager", "UserStatus", "closed", "kept", "known_zone", "meter_secret",
    "one_of",
]  # fmt: skip
