"""Addresses under /api/v1 that answer through the ledger."""

from django.urls import path

from enforcement import events, reads, schema, simulations, views

urlpatterns = [
    path("enforce", views.EnforceView.as_view(), name="enforce"),
    path("enforce/batch", views.EnforceBatchView.as_view(), name="enforce-batch"),
    path("usage/events", events.EventsView.as_view(), name="usage-events"),
    path("check", views.CheckView.as_view(), name="check"),
    path("reservations/commit-batch", views.CommitBatchView.as_view(), name="commit-batch"),
    path("reservations/<uuid:reservation_id>/commit", views.CommitView.as_view(), name="commit"),
    path("reservations/<uuid:reservation_id>/release", views.ReleaseView.as_view(), name="release"),
    path("reservations/<uuid:reservation_id>/extend", views.ExtendView.as_view(), name="extend"),
    path("reservations/<uuid:reservation_id>/report", views.ReportView.as_view(), name="report"),
    path("reservations/<uuid:reservation_id>", reads.ReservationView.as_view(), name="reservation"),
    path("decisions/<uuid:decision_id>", reads.DecisionView.as_view(), name="decision"),
    path("plans/simulate", simulations.SimulateView.as_view(), name="simulate"),
    path("plans/simulations/<uuid:simulation_id>", simulations.SimulationView.as_view(), name="simulation"),
    path("entitlements", reads.EntitlementsView.as_view(), name="entitlements"),
    path("usage/meters", reads.MetersView.as_view(), name="usage-meters"),
]

schema.describe()
