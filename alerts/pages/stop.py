"""Where the link at the end of a mail leads: whoever got it can have no more of them, without a log-in."""

from typing import Any
from uuid import UUID

from django.core import signing
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.csrf import csrf_exempt

from alerts import destinations, disabling
from alerts.channels.mail import STOPPING
from alerts.models import Channel


@method_decorator(csrf_exempt, name="dispatch")  # a mail program posts here by itself; the address is the proof
class StopPage(View):
    """Asks, and then switches the channel off. Opening it does nothing: programs that scan mails open links."""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:  # noqa: ANN401 - View's
        try:
            channel_id = UUID(signing.loads(kwargs.pop("token"), salt=STOPPING))
        except (signing.BadSignature, ValueError):
            raise Http404("This link is not one of ours.") from None
        channel = Channel.objects.select_related("tenant").filter(pk=channel_id).first()
        if channel is None:
            raise Http404("This channel is gone: no more mails come by it.")
        self.channel = channel
        response = super().dispatch(request, *args, **kwargs)
        response.headers["Cache-Control"] = "private, no-store"
        response.headers["Referrer-Policy"] = "no-referrer"
        return response

    def get(self, request: HttpRequest) -> HttpResponse:
        is_done = destinations.is_stopped(self.channel)
        return render(request, "alerts/stop.html", {"channel": self.channel, "is_done": is_done})

    def post(self, request: HttpRequest) -> HttpResponse:
        disabling.stop(self.channel)
        return render(request, "alerts/stop.html", {"channel": self.channel, "is_done": True})
