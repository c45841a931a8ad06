"""Addresses under /t/<ati_id>/, beside the pages of usage."""

from django.urls import path

from enforcement.pages.decision import DecisionPage

urlpatterns = [
    path("decisions/<uuid:decision_id>/", DecisionPage.as_view(), name="decision"),
]
