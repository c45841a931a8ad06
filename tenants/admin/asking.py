"""Two pages around an action: one that asks before it is done, one that shows a new secret once."""

from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib.admin import helpers
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.text import capfirst

from tenants.admin.base import Admin
from tenants.tokens import Issued

_LISTED = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is about to be done: such as “Suspend {}”, with the rows in place of {}, and what follows from it.

    `details` are lists below it, each with its heading; empty ones are left out.
    """

    deed: str
    consequence: str
    is_destructive: bool = True
    details: tuple[tuple[str, tuple[str, ...]], ...] = ()


def ask(
    admin: Admin,
    request: HttpRequest,
    chosen: QuerySet[Any],
    question: Question,
    form_class: type[forms.Form] = forms.Form,
) -> forms.Form | HttpResponse:
    """The page that asks, or the valid form once the question was answered with yes."""
    is_answered = request.method == "POST" and "confirmed" in request.POST
    form = form_class(request.POST if is_answered else None)
    if is_answered and form.is_valid():
        return form
    count = chosen.count()
    rows = list(chosen[:_LISTED])
    deed = question.deed.format(rows[0] if count == 1 else f"{count:,} {admin.opts.verbose_name_plural}")
    page = request.resolver_match.kwargs.get("object_id") if request.resolver_match else None
    return TemplateResponse(
        request,
        "tenants/admin/ask.html",
        {
            **admin.admin_site.each_context(request),
            "opts": admin.opts,
            "title": f"{deed}?",
            "deed": deed,
            "question": question,
            "form": form,
            "rows": rows if count > 1 else [],
            "further": max(0, count - _LISTED),
            "cancel": admin.back_to(page).url if page else request.get_full_path(),
            "sent": [
                (name, value)
                for name in ("action", "select_across", "index", helpers.ACTION_CHECKBOX_NAME)
                for value in request.POST.getlist(name)
            ],
        },
    )


def show_secret(admin: Admin, request: HttpRequest, issued: Issued[Any], what_next: str) -> HttpResponse:
    """The page with the text of a credential just issued. It is in this answer alone, and no cache keeps it."""
    return TemplateResponse(
        request,
        "tenants/admin/issued.html",
        {
            **admin.admin_site.each_context(request),
            "opts": admin.opts,
            "title": f"{capfirst(admin.opts.verbose_name)} {issued.record}",
            "original": issued.record,
            "text": issued.text,
            "what_next": what_next,
        },
        headers={"Cache-Control": "no-store"},
    )
