"""Every address of the site, and no more than the names of what answers there."""

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerView

from metering_site import error_pages, health, problems

urlpatterns = [
    path("accounts/", include("allauth.account.urls")),
    path("t/<str:ati_id>/", include("usage.pages.urls")),
    path("t/<str:ati_id>/", include("enforcement.pages.tenant_urls")),
    path("", RedirectView.as_view(pattern_name="admin:index"), name="home"),
    path("admin/", include("enforcement.pages.urls")),
    path("admin/", admin.site.urls),
    path("api/v1/", include("enforcement.urls")),
    path("api/v1/", include("usage.urls")),
    path("api/schema/", SpectacularAPIView.as_view(), name="schema"),
    path("api/docs/", SpectacularSwaggerView.as_view(url_name="schema"), name="docs"),
    path("errors/", error_pages.index, name="errors"),
    path("errors/<str:code>", error_pages.error, name="error"),
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
]

handler400 = problems.bad_request
handler404 = problems.not_found
handler500 = problems.server_error
