"""The tokens of a tenant, and the forms that issue, suspend and revoke them."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.admin.models import ADDITION, CHANGE, LogEntry
from django.core.paginator import Paginator
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse

from plans import seats
from tenants import tokens
from tenants.models import ATIToken, TokenStatus
from tenants.tokens import Issued, TokenError
from usage.pages.tokens.forms import FORMS, CallerForm, InvitationForm
from usage.pages.viewer import TenantPage

_A_PAGE = 50


class TokensPage(TenantPage):
    """The list, with the plan that every token has; a token just issued shows its secret here, once."""

    page = "tokens"
    is_for_managers = True

    def get(self, request: HttpRequest) -> HttpResponse:
        return self._page(request)

    def post(self, request: HttpRequest) -> HttpResponse:
        kind = request.POST.get("kind", "")
        if kind not in FORMS:
            raise Http404
        form = FORMS[kind](self.viewer, request.POST)
        if not form.is_valid():
            return self._page(request, status=422, sent={kind: form})
        try:
            with transaction.atomic():
                issued = form.issue()
                _record(issued.record, ADDITION, f"Issued: {_on_record(issued.record)}.", self.viewer.user.pk)
        except TokenError as refusal:
            messages.error(request, str(refusal))
            return redirect("pages:tokens", self.viewer.tenant.ati_id)
        return self._page(request, issued=issued)

    def _page(
        self,
        request: HttpRequest,
        *,
        status: int = 200,
        issued: Issued[ATIToken] | None = None,
        sent: Mapping[str, InvitationForm | CallerForm] | None = None,
    ) -> HttpResponse:
        tenant, now = self.viewer.tenant, self.viewer.now
        root = ATIToken.objects.roots().for_tenant(tenant).with_plan_tier().first()
        others = ATIToken.objects.for_tenant(tenant).select_related("user").order_by("-id")
        listed = Paginator(others, _A_PAGE).get_page(request.GET.get("page"))
        return self.show(
            "usage/tokens.html",
            status=status,
            issued=issued,
            sign_up=request.build_absolute_uri(reverse("account_signup")),
            **{kind: form(self.viewer) for kind, form in FORMS.items()} | dict(sent or {}),
            listed=listed,
            rows=[(token, token.state(now)) for token in listed],
            root=root,
            taken=seats.taken(tenant),
            free=seats.free(tenant, now),
        )


class TokenChange(TenantPage):
    """Suspends, revives or revokes a token; asked for by a form alone."""

    page = "tokens"
    is_for_managers = True

    def post(self, request: HttpRequest, token_id: UUID) -> HttpResponse:
        token = ATIToken.objects.for_tenant(self.viewer.tenant).filter(pk=token_id).first()
        status = request.POST.get("status", "")
        if token is None or status not in TokenStatus.values:
            raise Http404
        to = TokenStatus(status)
        try:
            if token.is_root:
                raise TokenError("The root token carries the plan: only a super admin changes it.")
            with transaction.atomic():
                tokens.set_status(token, to)
                _record(token, CHANGE, f"{_on_record(token)}: {to.label.lower()}.", self.viewer.user.pk)
        except TokenError as refusal:
            messages.error(request, str(refusal))
        else:
            messages.success(request, f"{_called(token)} is now {to.label.lower()}.")
        return redirect("pages:tokens", self.viewer.tenant.ati_id)


def _record(token: ATIToken, flag: int, said: str, by: Any) -> None:  # noqa: ANN401 - a primary key
    LogEntry.objects.log_actions(str(by), [token], flag, change_message=said, single_object=True)


def _called(token: ATIToken) -> str:
    """A token as people speak of it."""
    whose = f"token of {token.user.get_full_name()}" if token.user else "invitation"
    return f"The {whose}{f' “{token.name}”' if token.name else ''}"


def _on_record(token: ATIToken) -> str:
    """The same for the record, in which an erasure finds people by their ids and not by what they are called."""
    return f"The token of {token.user_id}" if token.user_id else _called(token)
