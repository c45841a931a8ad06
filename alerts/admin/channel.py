"""Ways to people, of everybody; those of super admins are made and changed here."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin import SimpleListFilter, display
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from unfold.contrib.filters.admin import AutocompleteSelectFilter

from alerts import deliveries, destinations, disabling
from alerts.admin.channel_form import ChannelForm
from alerts.models import Channel, ChannelKind
from tenants.admin.asking import Question, ask, show_secret
from tenants.admin.base import Admin
from tenants.admin.unfolded import action
from tenants.tokens import Issued

_SECRET = "secret"  # noqa: S105 - the name of an attribute
_WHAT_NEXT = "Whoever receives the messages verifies them by this, with any library of Standard Webhooks."


class ToldFilter(SimpleListFilter):
    """Channels of super admins, or of tenants."""

    title = "whose"
    parameter_name = "told"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:  # noqa: ANN401
        return [("operators", "Super admins"), ("tenants", "Tenants")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Channel]) -> QuerySet[Channel]:
        if self.value() is None:
            return queryset
        return queryset.filter(tenant__isnull=self.value() == "operators")


@admin.register(Channel)
class ChannelAdmin(Admin):
    """Who is told, by which way, of what."""

    form = ChannelForm
    list_display = ["name", "told", "kind", "address", "is_active", "failures", "disabled_reason"]
    list_filter = [ToldFilter, ("tenant", AutocompleteSelectFilter), "kind", "is_active"]
    list_select_related = ["tenant"]
    search_fields = ["name", "tenant__ati_id", "tenant__name"]
    readonly_fields = ["told", "is_active", "disabled_reason", "failures", "created_at"]
    actions_detail = ["test", "switch_on", "switch_off", "renew_secret", "forget_secret"]
    add_fieldsets = [
        (
            None,
            {
                "fields": ["name", "kind", "address"],
                "description": "It tells super admins. The channels of a tenant are made by its owners, in their "
                "alert settings.",
            },
        ),
        ("What it tells", {"fields": ["severities", "kinds", "events"]}),
        ("When", {"fields": ["digest", "quiet_from", "quiet_until"], "description": "Times of day are UTC."}),
    ]  # fmt: skip
    fieldsets = [
        (None, {"fields": ["name", "told", "kind", "address"]}),
        ("What it tells", {"fields": ["severities", "kinds", "events"]}),
        (
            "When",
            {"fields": ["digest", "quiet_from", "quiet_until"], "description": "In the zone of who is told."},
        ),
        ("How it does", {"fields": ["is_active", "disabled_reason", "failures", "created_at"]}),
    ]  # fmt: skip

    @display(description="Whose", ordering="tenant__ati_id")
    def told(self, channel: Channel) -> str:
        return str(channel.tenant) if channel.tenant else "super admins"

    def why_read_only(self, row: Channel) -> str | None:
        """A tenant's channels are its owners'."""
        if row.tenant is not None:
            return f"It is a channel of {row.tenant}: its owners and admins change it in their alert settings."
        return None

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ANN401 - as in Django
        """What its receiver stopped stays, so that nobody is written to again by mistake."""
        is_stopped = isinstance(obj, Channel) and destinations.is_stopped(obj)
        return super().has_delete_permission(request, obj) and not is_stopped

    def get_fieldsets(self, request: HttpRequest, obj: Channel | None = None) -> Any:  # noqa: ANN401 - as in Django
        return self.fieldsets if obj else self.add_fieldsets

    def get_readonly_fields(self, request: HttpRequest, obj: Channel | None = None) -> list[str]:
        return [*self.readonly_fields, "kind"] if obj else list(self.readonly_fields)

    def save_model(self, request: HttpRequest, obj: Channel, form: Any, change: bool) -> None:  # noqa: ANN401
        given = form.cleaned_data
        if change:
            seen = destinations.stamp(Channel.objects.get(pk=obj.pk))
            saved = destinations.change(obj.pk, seen=seen, address=given["address"], telling=form.telling())
        else:
            kind = ChannelKind(given["kind"])
            saved, secret = destinations.add(None, kind=kind, address=given["address"], telling=form.telling())
            setattr(request, _SECRET, secret)
        vars(obj).update(vars(saved))

    def delete_model(self, request: HttpRequest, obj: Channel) -> None:
        destinations.remove(obj.pk)

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """With one button: the page that follows may show a secret."""
        one_button = {"show_save_and_continue": False, "show_save_and_add_another": False}
        return super().add_view(request, form_url, {**(extra_context or {}), **one_button})

    def response_add(self, request: HttpRequest, obj: Channel, post_url_continue: str | None = None) -> HttpResponse:
        secret: str | None = getattr(request, _SECRET)
        if secret is None:
            return super().response_add(request, obj, post_url_continue)
        return self._show(request, obj, secret)

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:  # noqa: ANN401 - as in Unfold
        """What can be done with this one now."""
        channel = self.get_object(request, str(object_id))
        if channel is None or channel.tenant_id is not None:
            return []
        is_signed = channel.kind == ChannelKind.SIGNED_WEBHOOK
        apt = {
            "test": True, "switch_on": not channel.is_active, "switch_off": channel.is_active,
            "renew_secret": is_signed, "forget_secret": is_signed and len(channel.secrets) > 1,
        }  # fmt: skip
        offered: list[Any] = super().get_actions_detail(request, object_id)
        return [each for each in offered if apt.get(each.action_name.removeprefix("alerts_channel_"), True)]

    @action(description="Send a test", permissions=["change"], icon="send")
    def test(self, request: HttpRequest, object_id: str) -> HttpResponse:
        said = "A message that says that it is a test goes there within seconds, whether the channel is on or off."
        channel = self._asked(request, object_id, Question(deed="Send a test to {}", consequence=said))
        if isinstance(channel, HttpResponse):
            return channel
        try:
            destinations.check_wanted(channel)
        except destinations.Unusable as refusal:
            messages.error(request, str(refusal))
            return self.back_to(channel.pk)
        deliveries.send_test(channel, datetime.now(UTC))
        return self._done(request, channel, "A test was sent.")

    @action(description="Switch on", permissions=["change"], icon="toggle_on")
    def switch_on(self, request: HttpRequest, object_id: str) -> HttpResponse:
        question = Question(deed="Switch {} on", consequence="It tells what happens from then on.")
        channel = self._asked(request, object_id, question)
        if isinstance(channel, HttpResponse):
            return channel
        disabling.switch_on(channel)
        return self._done(request, channel, "Switched on.")

    @action(description="Switch off", permissions=["change"], icon="toggle_off")
    def switch_off(self, request: HttpRequest, object_id: str) -> HttpResponse:
        said = "It gets nothing any more, and what waits for it is given up."
        channel = self._asked(request, object_id, Question(deed="Switch {} off", consequence=said), is_bad=True)
        if isinstance(channel, HttpResponse):
            return channel
        disabling.switch_off(channel, f"Switched off by {request.user}.")
        return self._done(request, channel, "Switched off.")

    @action(description="New secret", permissions=["change"], icon="autorenew")
    def renew_secret(self, request: HttpRequest, object_id: str) -> HttpResponse:
        said = "It signs beside the last one, until that is forgotten. The secret is shown on the next page, once."
        question = Question(deed="Make a new secret for {}", consequence=said)
        channel = self._asked(request, object_id, question)
        if isinstance(channel, HttpResponse):
            return channel
        secret = destinations.renew_secret(channel.pk)
        self.log_change(request, channel, "New secret.")
        return self._show(request, channel, secret)

    @action(description="Forget the old secret", permissions=["change"], icon="key_off")
    def forget_secret(self, request: HttpRequest, object_id: str) -> HttpResponse:
        said = "Messages are signed by the new one alone. Do it once the receiver knows that."
        question = Question(deed="Forget the old secret of {}", consequence=said)
        channel = self._asked(request, object_id, question, is_bad=True)
        if isinstance(channel, HttpResponse):
            return channel
        destinations.forget_old_secret(channel.pk)
        return self._done(request, channel, "Old secret forgotten.")

    def _asked(
        self, request: HttpRequest, object_id: str, question: Question, *, is_bad: bool = False
    ) -> Channel | HttpResponse:
        """The channel of super admins that was meant, or the page that asks whether it was."""
        chosen = self.chosen(request, None, object_id)
        channel: Channel = chosen.get()
        if channel.tenant_id is not None or not self.has_change_permission(request, channel):
            raise PermissionDenied(self.why_read_only(channel) or "")
        answer = ask(self, request, chosen, replace(question, is_destructive=is_bad))
        return answer if isinstance(answer, HttpResponse) else channel

    def _done(self, request: HttpRequest, channel: Channel, said: str) -> HttpResponse:
        self.log_change(request, channel, said)
        messages.success(request, said)
        return self.back_to(channel.pk)

    def _show(self, request: HttpRequest, channel: Channel, secret: str) -> HttpResponse:
        issued: Issued[Any] = Issued(channel, secret)
        return show_secret(self, request, issued, _WHAT_NEXT)
