"""Who is told, and by which way: the channels, one page each, and their latest messages."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.admin.models import ADDITION, CHANGE, DELETION
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse

from alerts import deliveries, destinations, disabling, rules
from alerts.models import Channel, ChannelKind, Delivery
from alerts.pages.forms import ChannelForm
from alerts.pages.managing import ManagersPage

_LATEST = 20
_SLUGS = {"email": ChannelKind.EMAIL, "chat": ChannelKind.CHAT_WEBHOOK, "webhook": ChannelKind.SIGNED_WEBHOOK}
_TITLES = {
    ChannelKind.EMAIL: "Tell somebody by e-mail", ChannelKind.CHAT_WEBHOOK: "Tell a chat room",
    ChannelKind.SIGNED_WEBHOOK: "Tell a program",
}  # fmt: skip


class SettingsPage(ManagersPage):
    """The channels, the thresholds in a line, and the latest messages."""

    def get(self, request: HttpRequest) -> HttpResponse:
        tenant = self.viewer.tenant
        own = rules.of(tenant)
        return self.show(
            "alerts/settings.html",
            channels=Channel.objects.for_tenant(tenant),
            latest=Delivery.objects.for_tenant(tenant).select_related("channel", "alert")[:_LATEST],
            shares=rules.shares(tenant),
            closer=own.exclude(feature=None, measure=None).count(),
        )


class NewChannel(ManagersPage):
    """A form for a channel of one kind; a secret just made is shown on the answer, once."""

    def get(self, request: HttpRequest, slug: str) -> HttpResponse:
        return self._form(ChannelForm(self._kind(slug)))

    def post(self, request: HttpRequest, slug: str) -> HttpResponse:
        form = ChannelForm(self._kind(slug), request.POST)
        if not form.is_valid():
            return self._form(form, status=422)
        try:
            with transaction.atomic():
                added = form.add_to(self.viewer.tenant)
                for channel, _ in added:
                    self.record(channel, ADDITION, "added.")
        except destinations.Unusable as refusal:
            form.add_error(None, str(refusal))
            return self._form(form, status=422)
        channel, secret = added[0]
        if secret is not None:
            return self.show("alerts/secret.html", channel=channel, secret=secret)
        if len(added) > 1:
            messages.success(request, f"{len(added)} channels were added. Send each a test to see that it arrives.")
            return self.to("settings")
        messages.success(request, f"“{channel.name}” was added. Send a test to see that it arrives.")
        return self.to("channel", channel.pk)

    def _kind(self, slug: str) -> ChannelKind:
        if slug not in _SLUGS:
            raise Http404
        return _SLUGS[slug]

    def _form(self, form: ChannelForm, status: int = 200) -> HttpResponse:
        return self.show("alerts/add.html", status=status, form=form, title=_TITLES[form.kind])


class ChannelPage(ManagersPage):
    """A channel: what it tells, how it does, and what can be done with it; all of its forms come back here."""

    def get(self, request: HttpRequest, channel_id: UUID) -> HttpResponse:
        return self._page(self.channel(channel_id))

    def post(self, request: HttpRequest, channel_id: UUID) -> HttpResponse:
        channel = self.channel(channel_id)
        change = _CHANGES.get(request.POST.get("do", ""))
        if change is None:
            raise Http404
        try:
            answer = change(self, channel)
        except destinations.Unusable as refusal:
            messages.error(request, str(refusal))
            answer = None
        return answer if answer is not None else self.to("channel", channel.pk)

    def save(self, channel: Channel) -> HttpResponse | None:
        form = ChannelForm(ChannelKind(channel.kind), self.request.POST, channel=channel)
        if not form.is_valid():
            return self._page(channel, form, status=422)
        with transaction.atomic():
            saved = form.save()
            self.record(saved, CHANGE, "changed.")
        messages.success(self.request, f"“{saved.name}” is changed, and tells so from now on.")
        return None

    def test(self, channel: Channel) -> None:
        destinations.check_wanted(channel)
        deliveries.send_test(channel, self.viewer.now)
        messages.success(self.request, f"A test is on its way to “{channel.name}”. Load the page again to see it.")

    def switch_off(self, channel: Channel) -> None:
        with transaction.atomic():
            if disabling.switch_off(channel, f"Switched off by {self.viewer.user.email}."):
                self.record(channel, CHANGE, "switched off.")
        messages.success(self.request, f"“{channel.name}” is off.")

    def switch_on(self, channel: Channel) -> None:
        with transaction.atomic():
            disabling.switch_on(channel)
            self.record(channel, CHANGE, "switched on.")
        messages.success(self.request, f"“{channel.name}” is on, and tells what happens from now on.")

    def new_secret(self, channel: Channel) -> HttpResponse:
        with transaction.atomic():
            secret = destinations.renew_secret(channel.pk)
            self.record(channel, CHANGE, "new secret.")
        return self.show("alerts/secret.html", channel=channel, secret=secret)

    def forget(self, channel: Channel) -> None:
        with transaction.atomic():
            destinations.forget_old_secret(channel.pk)
            self.record(channel, CHANGE, "old secret forgotten.")
        messages.success(self.request, f"“{channel.name}” is signed by its new secret alone.")

    def _page(self, channel: Channel, form: ChannelForm | None = None, status: int = 200) -> HttpResponse:
        return self.show(
            "alerts/channel.html",
            status=status,
            channel=channel,
            form=form or ChannelForm(ChannelKind(channel.kind), channel=channel),
            latest=Delivery.objects.filter(channel=channel).select_related("channel", "alert")[:_LATEST],
        )


_CHANGES: dict[str, Callable[[Any, Channel], HttpResponse | None]] = {
    "save": ChannelPage.save,
    "test": ChannelPage.test,
    "off": ChannelPage.switch_off,
    "on": ChannelPage.switch_on,
    "secret": ChannelPage.new_secret,
    "forget": ChannelPage.forget,
}


class ChannelRemoval(ManagersPage):
    """Asks, and then takes a channel away."""

    def get(self, request: HttpRequest, channel_id: UUID) -> HttpResponse:
        channel = self.channel(channel_id)
        is_last = not Channel.objects.for_tenant(self.viewer.tenant).exclude(pk=channel.pk).exists()
        return self.show(
            "alerts/remove.html", channel=channel, is_last=is_last, is_stopped=destinations.is_stopped(channel)
        )

    def post(self, request: HttpRequest, channel_id: UUID) -> HttpResponse:
        channel = self.channel(channel_id)
        try:
            with transaction.atomic():
                self.record(channel, DELETION, "removed.")
                destinations.remove(channel.pk)
        except destinations.Unusable as refusal:
            messages.error(request, str(refusal))
        else:
            messages.success(request, f"“{channel.name}” was removed.")
        return self.to("settings")
