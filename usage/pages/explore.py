"""Explore."""

from django.http import HttpRequest, HttpResponse

from usage.pages.viewer import TenantPage


class ExplorePage(TenantPage):
    """Explore."""

    page = "explore"

    def get(self, request: HttpRequest) -> HttpResponse:
        return self.show("usage/explore.html")
