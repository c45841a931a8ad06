"""The numbers by which a process notices that its configuration has changed."""

from django.db import models
from django.db.models import Q


class ConfigVersion(models.Model):
    """How often the configuration of a subject changed. Only triggers write it, see `tenants.versions`."""

    subject = models.UUIDField(primary_key=True)
    number = models.BigIntegerField()

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(number__gt=0), name="tenants_configversion_number")]

    def __str__(self) -> str:
        return f"{self.subject}: {self.number}"
