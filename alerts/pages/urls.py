"""The alert pages of a tenant, under /t/<ati_id>/alerts/."""

from django.urls import path

from alerts.pages.listing import AlertsPage, Bell, OpenAlerts
from alerts.pages.settings import ChannelChange, SettingsPage, ThresholdsChange

app_name = "alert-pages"
urlpatterns = [
    path("alerts/", AlertsPage.as_view(), name="list"),
    path("alerts/open/", OpenAlerts.as_view(), name="open"),
    path("alerts/bell/", Bell.as_view(), name="bell"),
    path("alerts/settings/", SettingsPage.as_view(), name="settings"),
    path("alerts/settings/thresholds/", ThresholdsChange.as_view(), name="thresholds"),
    path("alerts/settings/<uuid:channel_id>/", ChannelChange.as_view(), name="channel"),
]
