"""What the ledger's tables have in common.

They carry no foreign-key constraints (those cost a fifth of the hot path): a trigger refuses to delete what
they refer to, and the audit looks for orphans.
"""

from typing import Any, Self
from uuid import UUID

from django.db import models

from tenants.models import Tenant


def loose(to: type[models.Model], **options: Any) -> Any:  # noqa: ANN401 - a typed FK per target
    """A relation without a constraint in the database and without an index of its own."""
    return models.ForeignKey(
        to, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+", **options
    )


class UsageQuerySet(models.QuerySet[Any]):
    def for_tenant(self, tenant: Tenant | UUID) -> Self:
        """Rows of one tenant; the only way tenant data is filtered."""
        return self.filter(tenant=tenant)
