"""Addresses under /admin/, before those of the models."""

from django.contrib import admin
from django.urls import path

from enforcement.pages import why

urlpatterns = [
    path("decisions/<str:ati_id>/<uuid:decision_id>/", admin.site.admin_view(why.page), name="decision-why"),
]
