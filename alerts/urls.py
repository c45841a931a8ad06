"""Addresses under /api/v1 about alerts."""

from django.urls import path

from alerts import views

urlpatterns = [path("alerts", views.AlertsView.as_view(), name="alerts")]
