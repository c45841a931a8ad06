"""The console's pages about alerts."""

from alerts.admin import alert, channel, delivery, policy

__all__ = ["alert", "channel", "delivery", "policy"]
