"""Addresses under /admin/, before those of the models."""

from django.contrib import admin
from django.urls import path

from enforcement.pages import rollout, why

urlpatterns = [
    path("decisions/<slug:ati_id>/<uuid:decision_id>/", admin.site.admin_view(why.page), name="decision-why"),
    path("rollout/", admin.site.admin_view(rollout.page), name="rollout"),
    path("rollout/<str:gate>/<str:mode>/", admin.site.admin_view(rollout.switch_page), name="rollout-switch"),
]
