"""The admin console as a super admin's browser sees it, and what every page of it owes."""

import re
from collections.abc import Callable, Mapping
from html import unescape
from http import HTTPStatus
from typing import Any, cast

from django.contrib import admin
from django.contrib.admin import ModelAdmin
from django.contrib.auth.models import Permission
from django.db import connection
from django.db.models import Model
from django.http import HttpResponse
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from tenants.models import Role, User

EMAIL = "root@console.example"
PASSWORD = "a long password of the tests"


def browser() -> Client:
    """A browser over HTTPS that nobody has logged in with."""
    https: dict[str, Any] = {"wsgi.url_scheme": "https"}
    return Client(**https)


def super_admin() -> Client:
    """A browser in which a super admin is logged in."""
    user = User.objects.filter(email=EMAIL).first() or User.objects.create_superuser(EMAIL)
    client = browser()
    client.force_login(user)
    return client


def clerk(*permissions: str) -> Client:
    """A browser of somebody who may log in to the console and do there just this, such as "plans.view_plan"."""
    user = User.objects.create_user(f"clerk-{User.objects.count()}@console.example", role=Role.SUPER_ADMIN)
    user.user_permissions.set([_permission(name) for name in permissions])
    client = browser()
    client.force_login(user)
    return client


def _permission(name: str) -> Permission:
    app_label, codename = name.split(".")
    return Permission.objects.get(content_type__app_label=app_label, codename=codename)


def models_of(app_label: str) -> list[type[Model]]:
    """The models of an app that the console shows."""
    return sorted(
        (model for model in admin.site._registry if model._meta.app_label == app_label),
        key=lambda model: model.__name__,
    )


def address(model: type[Model], page: str, *args: object) -> str:
    """The address of a model's page: changelist, add, change, delete or an action's."""
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}", args=args)


def text_of(answer: Any) -> str:
    """What a page says, without tags and with single spaces."""
    page = re.sub(r"(?s)<(script|style).*?</\1>", " ", answer.content.decode())
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", page)).split())


def form_of(answer: Any) -> dict[str, Any]:
    """What the browser would send if the form of a page were saved as it is, inline rows included."""
    sent: dict[str, Any] = {}
    forms = [answer.context["adminform"].form]
    for inline in answer.context["inline_admin_formsets"]:
        formset = inline.formset
        sent |= {f"{formset.prefix}-{name}": value for name, value in formset.management_form.initial.items()}
        if inline.has_change_permission or inline.has_add_permission:
            forms += formset.forms
    for form in forms:
        for bound in form:
            sent |= _sent_of(bound)
    return sent


def _sent_of(bound: Any) -> dict[str, Any]:
    value = bound.value()
    parts = getattr(bound.field.widget, "decompress", None)
    if parts is not None:
        return {f"{bound.html_name}_{n}": "" if part is None else str(part) for n, part in enumerate(parts(value))}
    if value is None or value is False:
        return {}
    return {bound.html_name: [str(v) for v in value] if isinstance(value, list) else value}


def assert_every_page_opens(model: type[Model]) -> None:
    """The list, the search, the page to add and the page of a row answer 200; what is forbidden says 403."""
    client, pages = super_admin(), cast("ModelAdmin[Model]", admin.site._registry[model])
    row = model._default_manager.first()
    assert row is not None, f"the test has no {model.__name__}"
    listed = client.get(address(model, "changelist"))
    assert listed.status_code == HTTPStatus.OK
    if pages.search_fields:
        assert client.get(address(model, "changelist"), {"q": "A"}).status_code == HTTPStatus.OK
    request = listed.wsgi_request
    added = client.get(address(model, "add"))
    assert added.status_code == (HTTPStatus.OK if pages.has_add_permission(request) else HTTPStatus.FORBIDDEN)
    assert client.get(address(model, "change", row.pk)).status_code == HTTPStatus.OK
    deleted = client.get(address(model, "delete", row.pk))
    assert deleted.status_code == (HTTPStatus.OK if pages.has_delete_permission(request, row) else HTTPStatus.FORBIDDEN)


def assert_list_costs_the_same_with_more_rows(model: type[Model], more: Callable[[], object]) -> None:
    """No query per row: the list with the rows that `more` adds asks as many questions as without."""
    client = super_admin()
    list_address = address(model, "changelist")
    client.get(list_address)
    before = model._default_manager.count()
    with CaptureQueriesContext(
        connection,
    ) as few:
        client.get(list_address)
    more()
    assert model._default_manager.count() >= before + 3
    with CaptureQueriesContext(connection) as many:
        answer = client.get(list_address)
    assert len(answer.context["cl"].result_list) >= min(before + 3, 50)
    assert len(many) == len(few), "\n".join(query["sql"] for query in many)


def assert_read_only(model: type[Model]) -> None:
    """Nobody adds, changes or deletes these rows here, by whatever request."""
    client = super_admin()
    row = model._default_manager.first()
    assert row is not None
    assert client.post(address(model, "add"), {}).status_code == HTTPStatus.FORBIDDEN
    assert client.post(address(model, "change", row.pk), {}).status_code == HTTPStatus.FORBIDDEN
    assert client.post(address(model, "delete", row.pk), {"post": "yes"}).status_code == HTTPStatus.FORBIDDEN
    ticked = {"action": "delete_selected", "_selected_action": [str(row.pk)], "post": "yes"}
    client.post(address(model, "changelist"), ticked)
    assert model._default_manager.filter(pk=row.pk).exists()


def assert_only_those_with(permission: str, address: str, outsider: User) -> None:
    """Without the permission a page is forbidden; who is nobody in the console is sent to its log-in."""
    assert clerk(permission).get(address).status_code == HTTPStatus.OK
    lacking = clerk()
    assert [lacking.get(address).status_code, lacking.post(address, {}).status_code] == [HTTPStatus.FORBIDDEN] * 2
    stranger = browser()
    assert stranger.get(address).status_code == HTTPStatus.FOUND
    stranger.force_login(outsider)
    assert stranger.get(address).status_code == HTTPStatus.FOUND


def post(client: Client, url: str, data: Mapping[str, Any]) -> HttpResponse:
    """Post as a browser and follow where it leads."""
    return cast("HttpResponse", client.post(url, dict(data), follow=True))
