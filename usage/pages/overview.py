"""Overview."""

from django.http import HttpRequest, HttpResponse

from usage.pages.viewer import TenantPage


class OverviewPage(TenantPage):
    """Overview."""

    page = "overview"

    def get(self, request: HttpRequest) -> HttpResponse:
        return self.show("usage/overview.html")
