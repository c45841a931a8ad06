"""Who is told, by which way, and at which thresholds."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.admin.models import ADDITION, CHANGE, DELETION, LogEntry
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect

from alerts import deliveries, destinations, disabling, shares
from alerts.models import Channel, Delivery
from alerts.pages.forms import ChannelForm, ThresholdsForm
from usage.pages.viewer import TenantPage

_LATEST = 20


class _ManagersPage(TenantPage):
    page = "alerts"
    is_for_managers = True

    def back(self) -> HttpResponse:
        return redirect("alert-pages:settings", self.viewer.tenant.ati_id)

    def record(self, channel: Channel, flag: int, said: str) -> None:
        LogEntry.objects.log_actions(
            str(self.viewer.user.pk), [channel], flag, change_message=f"{channel.name}: {said}", single_object=True
        )

    def settings(
        self, *, status: int = 200, form: ChannelForm | None = None, thresholds: ThresholdsForm | None = None,
        secret: str | None = None, of: Channel | None = None,
    ) -> HttpResponse:  # fmt: skip
        """The page; a secret just made is shown here, once."""
        tenant = self.viewer.tenant
        percents = ", ".join(str(each) for each in shares.of(tenant))
        return self.show(
            "alerts/settings.html",
            status=status,
            channels=Channel.objects.for_tenant(tenant),
            latest=Delivery.objects.for_tenant(tenant).select_related("channel", "alert")[:_LATEST],
            form=form or ChannelForm(),
            thresholds=thresholds or ThresholdsForm(initial={"percents": percents}),
            secret=secret,
            of=of,
        )


class SettingsPage(_ManagersPage):
    """The channels, a form for another, the thresholds, and the latest messages."""

    def get(self, request: HttpRequest) -> HttpResponse:
        return self.settings()

    def post(self, request: HttpRequest) -> HttpResponse:
        form = ChannelForm(request.POST)
        if not form.is_valid():
            return self.settings(status=422, form=form)
        try:
            with transaction.atomic():
                channel, secret = form.add_to(self.viewer.tenant)
                self.record(channel, ADDITION, "added.")
        except destinations.Unusable as refusal:
            messages.error(request, str(refusal))
            return self.back()
        if secret is not None:
            return self.settings(secret=secret, of=channel)
        messages.success(request, f"“{channel.name}” was added. Send a test to see that it arrives.")
        return self.back()


class ThresholdsChange(_ManagersPage):
    """Sets the thresholds of every quota of the tenant; asked for by a form alone."""

    def post(self, request: HttpRequest) -> HttpResponse:
        form = ThresholdsForm(request.POST)
        if not form.is_valid():
            return self.settings(status=422, thresholds=form)
        shares.change(self.viewer.tenant, form.cleaned_data["percents"])
        messages.success(request, "The thresholds are set.")
        return self.back()


class ChannelChange(_ManagersPage):
    """Tries, switches or removes a channel, or changes its secret; asked for by a form alone."""

    def post(self, request: HttpRequest, channel_id: UUID) -> HttpResponse:
        channel = Channel.objects.for_tenant(self.viewer.tenant).filter(pk=channel_id).first()
        change = _CHANGES.get(request.POST.get("do", ""))
        if channel is None or change is None:
            raise Http404
        try:
            with transaction.atomic():
                answer = change(self, channel)
        except destinations.Unusable as refusal:
            messages.error(request, str(refusal))
            return self.back()
        return answer if answer is not None else self.back()

    def test(self, channel: Channel) -> None:
        deliveries.send_test(channel, self.viewer.now)
        messages.success(self.request, f"A test is on its way to “{channel.name}”. Load the page again to see it.")

    def switch_off(self, channel: Channel) -> None:
        disabling.switch_off(channel, f"Switched off by {self.viewer.user.email}.")
        self.record(channel, CHANGE, "switched off.")
        messages.success(self.request, f"“{channel.name}” is off.")

    def switch_on(self, channel: Channel) -> None:
        disabling.switch_on(channel)
        self.record(channel, CHANGE, "switched on.")
        messages.success(self.request, f"“{channel.name}” is on, and tells what happens from now on.")

    def new_secret(self, channel: Channel) -> HttpResponse:
        secret = destinations.renew_secret(channel)
        self.record(channel, CHANGE, "new secret.")
        return self.settings(secret=secret, of=channel)

    def forget(self, channel: Channel) -> None:
        destinations.forget_old_secret(channel)
        self.record(channel, CHANGE, "old secret forgotten.")
        messages.success(self.request, f"“{channel.name}” is signed by its new secret alone.")

    def remove(self, channel: Channel) -> None:
        self.record(channel, DELETION, "removed.")
        channel.delete()
        messages.success(self.request, f"“{channel.name}” was removed.")


_CHANGES: dict[str, Callable[[Any, Channel], HttpResponse | None]] = {
    "test": ChannelChange.test,
    "off": ChannelChange.switch_off,
    "on": ChannelChange.switch_on,
    "secret": ChannelChange.new_secret,
    "forget": ChannelChange.forget,
    "remove": ChannelChange.remove,
}
