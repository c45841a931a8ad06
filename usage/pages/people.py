"""People."""

from django.http import HttpRequest, HttpResponse

from usage.pages.viewer import TenantPage


class PeoplePage(TenantPage):
    """People."""

    page = "people"
    is_for_managers = True

    def get(self, request: HttpRequest) -> HttpResponse:
        return self.show("usage/people.html")
