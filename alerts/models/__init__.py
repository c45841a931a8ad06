"""What people are told, by which way, and whether it arrived. Import models from here."""

from alerts.models.alert import AlertKind, QuotaAlert, Severity
from alerts.models.channel import Channel, ChannelKind, Digest, Report
from alerts.models.delivery import Delivery, DeliveryState
from alerts.models.known_plan import KnownPlan
from alerts.models.policy import AlertPolicy

__all__ = [
    "AlertKind", "AlertPolicy", "Channel", "ChannelKind", "Delivery", "DeliveryState", "Digest", "KnownPlan",
    "QuotaAlert", "Report", "Severity",
]  # fmt: skip
