"""The console's pages about alerts."""

from alerts.admin import alert, channel, delivery, known_plan, policy

__all__ = ["alert", "channel", "delivery", "known_plan", "policy"]
