"""The alert pages of a tenant, under /t/<ati_id>/alerts/."""

from django.urls import path

from alerts.pages.channels import ChannelPage, ChannelRemoval, NewChannel, SettingsPage
from alerts.pages.listing import AlertsPage, Bell, OpenAlerts
from alerts.pages.preview import MailPreview, PreviewPage
from alerts.pages.thresholds import RuleRemoval, ThresholdsPage

app_name = "alert-pages"
urlpatterns = [
    path("alerts/", AlertsPage.as_view(), name="list"),
    path("alerts/open/", OpenAlerts.as_view(), name="open"),
    path("alerts/bell/", Bell.as_view(), name="bell"),
    path("alerts/settings/", SettingsPage.as_view(), name="settings"),
    path("alerts/settings/add/<slug:slug>/", NewChannel.as_view(), name="add"),
    path("alerts/settings/thresholds/", ThresholdsPage.as_view(), name="thresholds"),
    path("alerts/settings/thresholds/<uuid:rule_id>/remove/", RuleRemoval.as_view(), name="rule-removal"),
    path("alerts/settings/<uuid:channel_id>/", ChannelPage.as_view(), name="channel"),
    path("alerts/settings/<uuid:channel_id>/remove/", ChannelRemoval.as_view(), name="removal"),
    path("alerts/settings/<uuid:channel_id>/preview/", PreviewPage.as_view(), name="preview"),
    path("alerts/settings/<uuid:channel_id>/preview/mail/", MailPreview.as_view(), name="preview-mail"),
]
