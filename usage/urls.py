"""Addresses under /api/v1 that read the ledger."""

from django.urls import path

from usage import views

urlpatterns = [
    path("usage/logs", views.LogsView.as_view(), name="usage-logs"),
    path("usage/summary", views.SummaryView.as_view(), name="usage-summary"),
    path("denials", views.DenialsView.as_view(), name="denials"),
]
