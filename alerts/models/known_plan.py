"""What is compared to see that something changed."""

from django.db import models

from tenants.models import Tenant


class KnownPlan(models.Model):
    """The plan that a tenant was last seen to have (empty: none), and how often it has changed."""

    tenant = models.OneToOneField(Tenant, on_delete=models.CASCADE, primary_key=True, related_name="+")
    plan_id = models.UUIDField(null=True)
    previous_id = models.UUIDField(null=True)
    changes = models.PositiveIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.tenant_id}: {self.plan_id}"
