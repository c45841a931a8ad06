"""Every address of the site, and no more than the names of what answers there."""

from allauth.account.decorators import secure_admin_login
from allauth.account.models import EmailAddress
from django.contrib import admin
from django.urls import include, path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerView

import tenants.pages
from alerts.pages.stop import StopPage
from metering_site import error_pages, health, problems
from metering_site.metrics.view import metrics

# One log-in for everybody, and its throttle.
admin.site.login = secure_admin_login(admin.site.login)  # type: ignore[method-assign]  # as allauth documents it

admin.site.unregister(EmailAddress)  # none are kept beside User.email

urlpatterns = [
    path("accounts/", include("metering_site.account_urls")),
    path("alerts/stop/<str:token>/", StopPage.as_view(), name="stop-alerts"),
    path("t/<str:ati_id>/", include("usage.pages.urls")),
    path("t/<str:ati_id>/", include("alerts.pages.urls")),
    path("t/<str:ati_id>/", include("enforcement.pages.tenant_urls")),
    path("", tenants.pages.home, name="home"),
    path("admin/", include("enforcement.pages.urls")),
    path("admin/", admin.site.urls),
    path("api/v1/", include("enforcement.urls")),
    path("api/v1/", include("usage.urls")),
    path("api/v1/", include("alerts.urls")),
    path("api/schema/", SpectacularAPIView.as_view(), name="schema"),
    path("api/docs/", SpectacularSwaggerView.as_view(url_name="schema"), name="docs"),
    path("errors/", error_pages.index, name="errors"),
    path("errors/<str:code>", error_pages.error, name="error"),
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("metrics", metrics, name="metrics"),
]

handler400 = problems.bad_request
handler404 = problems.not_found
handler429 = problems.too_many  # allauth looks for it
handler500 = problems.server_error
