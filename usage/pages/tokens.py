"""Tokens."""

from django.http import HttpRequest, HttpResponse

from usage.pages.viewer import TenantPage


class TokensPage(TenantPage):
    """Tokens."""

    page = "tokens"
    is_for_managers = True

    def get(self, request: HttpRequest) -> HttpResponse:
        return self.show("usage/tokens.html")
