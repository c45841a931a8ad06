"""At which shares and amounts a tenant's people are told, as they set it themselves."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.contrib.admin.models import ADDITION, CHANGE, DELETION, LogEntry
from django.db import transaction
from django.db.models import QuerySet

from alerts.models import AlertPolicy
from plans.charges import Measure, PeriodKind
from tenants.models import Tenant, User


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """The quotas that a rule is about; None = of every feature, or whatever is counted, or days and months."""

    feature: str | None = None
    measure: Measure | None = None
    period: PeriodKind | None = None

    def __post_init__(self) -> None:
        if (self.measure is None) != (self.period is None):
            raise ValueError("a quota has a measure and a period")


EVERY_QUOTA = Subject()


def shares(tenant: Tenant) -> list[int]:
    """The percents in force for quotas that no closer rule is about: the tenant's own, else everybody's."""
    rows = AlertPolicy.objects.filter(feature=None, measure=None, period=None)
    row = rows.for_tenant(tenant).first() or rows.of_everybody().first()
    return sorted(row.percents) if row else []


def of(tenant: Tenant) -> QuerySet[AlertPolicy]:
    """The rules that the tenant has of its own, the one about every quota among them."""
    return AlertPolicy.objects.for_tenant(tenant).select_related("feature")


def put(
    tenant: Tenant, subject: Subject, *, percents: Sequence[int], amounts: Sequence[int] = (), by: User
) -> AlertPolicy:
    """Set the tenant's rule about some quotas, in place of the one there was; on record. Binds with the next call."""
    with transaction.atomic():
        rule, is_new = AlertPolicy.objects.update_or_create(
            tenant=tenant, feature_id=subject.feature, measure=subject.measure, period=subject.period,
            defaults={"percents": list(percents), "amounts": list(amounts)},
        )  # fmt: skip
        _record(rule, ADDITION if is_new else CHANGE, f"Told at {_words(rule)}.", by)
    return rule


def remove(rule: AlertPolicy, *, by: User) -> None:
    """Take a rule of a tenant away: whatever else is about its quotas holds again; on record."""
    with transaction.atomic():
        gone, _ = AlertPolicy.objects.filter(pk=rule.pk, tenant__isnull=False).delete()
        if gone:
            _record(rule, DELETION, "Removed.", by)


def _words(rule: AlertPolicy) -> str:
    said = [f"{percent} %" for percent in rule.percents] + [f"{amount:,}" for amount in rule.amounts]
    return ", ".join(said) or "nothing"


def _record(rule: AlertPolicy, flag: int, said: str, by: User) -> None:
    LogEntry.objects.log_actions(str(by.pk), [rule], flag, change_message=f"{rule}: {said}", single_object=True)
