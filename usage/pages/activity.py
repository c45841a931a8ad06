"""Activity."""

from django.http import HttpRequest, HttpResponse

from usage.pages.viewer import TenantPage


class ActivityPage(TenantPage):
    """Activity."""

    page = "activity"

    def get(self, request: HttpRequest) -> HttpResponse:
        return self.show("usage/activity.html")
