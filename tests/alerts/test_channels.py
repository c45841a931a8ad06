"""How each channel tells a message, to real receivers."""

import socket
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from pytest_django import Settings
from pytest_httpserver import HTTPServer
from standardwebhooks import Webhook, WebhookVerificationError
from werkzeug import Request, Response

from alerts import channels, messages, posting
from alerts.channels import chat, signed
from alerts.fields import Sealed
from alerts.messages import Figure, Message, Place
from alerts.models import Channel, ChannelKind
from alerts.outcomes import Outcome, Verdict
from tests.alerts.telling import AT, OLD_SECRET, SECRET, body, requests
from tests.mailbox import Mailbox, text_of

PLACE = Place(
    whose="Acme", ati_id="ACME", zone=ZoneInfo("Asia/Kolkata"), link="https://metering.example.com/t/ACME/",
    link_words="Look at the usage of Acme", settings="https://metering.example.com/t/ACME/alerts/settings/", names={},
)  # fmt: skip
ID = messages.message_id(UUID("01999999-0000-7000-8000-000000000001"))


def message(**data: Any) -> Message:
    return Message(
        id=ID, type="alert.threshold", at=AT, severity="WARNING", title="Acme: 80 % used",
        happened="Acme has used <most> & more.", advice="Look.", figures=(Figure("Left", "20 tokens"),), place=PLACE,
        data=data or {"threshold": 80},
    )  # fmt: skip


def to(sink: HTTPServer, kind: ChannelKind = ChannelKind.SIGNED_WEBHOOK, *secrets: str) -> Channel:
    """A channel to a receiver, which no table needs to know."""
    url = sink.url_for("/hook")
    kept = secrets or ((url,) if kind == ChannelKind.CHAT_WEBHOOK else (SECRET,))
    return Channel(name="Ops", kind=kind, address=url, secrets=[Sealed.of(each) for each in kept])


def told(sink: HTTPServer, **data: Any) -> Outcome:
    return channels.send(to(sink), message(**data))


def test_a_signed_webhook_is_verified_by_the_reference_with_each_of_its_secrets(sink: HTTPServer) -> None:
    sink.expect_request("/hook", method="POST").respond_with_data("ok")
    assert channels.send(to(sink, ChannelKind.SIGNED_WEBHOOK, SECRET, OLD_SECRET), message()).verdict is Verdict.SENT
    (request,) = requests(sink)
    headers = {name.lower(): value for name, value in request.headers.items()}
    for secret in (SECRET, OLD_SECRET):
        assert Webhook(secret).verify(request.data, headers) == {
            "type": "alert.threshold", "timestamp": AT.isoformat(), "data": {"threshold": 80},
        }  # fmt: skip
    assert headers["webhook-id"] == ID
    with pytest.raises(WebhookVerificationError):
        Webhook(signed.new_secret()).verify(request.data, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(request.data + b" ", headers)


def test_a_new_secret_is_one_of_the_standard() -> None:
    at = int(datetime.now(UTC).timestamp())
    secret = signed.new_secret()
    expected = Webhook(secret).sign(ID, datetime.fromtimestamp(at, UTC), '{"a": 1}')
    assert signed.signature(secret, ID, at, b'{"a": 1}') == expected


def test_what_is_larger_than_20_kilobytes_is_never_sent(sink: HTTPServer) -> None:
    sink.expect_request("/hook").respond_with_data("ok")
    assert told(sink, text="x" * 20_000).verdict is Verdict.IMPOSSIBLE
    assert told(sink, text="x" * 19_900).verdict is Verdict.SENT


def test_a_secret_without_its_key_sends_nothing_and_blames_nobody_outside(sink: HTTPServer, settings: Settings) -> None:
    sink.expect_request("/hook").respond_with_data("ok")
    channel = to(sink)
    settings.ENCRYPTION_KEYS = ["k" * 43 + "="]
    outcome = channels.send(channel, message())
    assert (outcome.verdict, outcome.is_ours, requests(sink)) == (Verdict.RETRY, True, [])


@pytest.mark.parametrize("status", [400, 401, 404, 429, 500, 503])
def test_an_answer_that_is_no_success_is_tried_again(sink: HTTPServer, status: int) -> None:
    sink.expect_request("/hook").respond_with_data("SECRET-TEXT", status=status)
    outcome = told(sink)
    assert (outcome.verdict, outcome.error) == (Verdict.RETRY, f"It answered {status}.")


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed(sink: HTTPServer, status: int) -> None:
    sink.expect_request("/hook").respond_with_data("", status=status, headers={"Location": sink.url_for("/other")})
    sink.expect_request("/other").respond_with_data("ok")
    outcome = told(sink)
    assert outcome.verdict is Verdict.RETRY
    assert "redirects are not followed" in outcome.error
    assert [request.path for request in requests(sink)] == ["/hook"]


def test_410_says_that_nobody_is_there(sink: HTTPServer) -> None:
    sink.expect_request("/hook").respond_with_data("", status=410)
    assert told(sink).verdict is Verdict.GONE


@pytest.mark.parametrize(
    ("asked", "seconds"),
    [("120", 120), ("0", 0), ("999999999999", 86_400), ("soon", None), ("-5", None), ("", None), ("1.5", None)],
)
def test_the_seconds_that_a_receiver_asks_for_are_kept(sink: HTTPServer, asked: str, seconds: float | None) -> None:
    sink.expect_request("/hook").respond_with_data("", status=503, headers={"Retry-After": asked})
    assert told(sink).retry_after_seconds == seconds


def test_the_date_that_a_receiver_asks_for_is_kept(sink: HTTPServer) -> None:
    at = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    sink.expect_request("/hook").respond_with_data("", status=503, headers={"Retry-After": at})
    assert 3_500 < (told(sink).retry_after_seconds or 0) <= 3_600


def test_a_receiver_that_stalls_is_left_in_time(sink: HTTPServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(posting, "SECONDS", 0.2)
    may_end = threading.Event()

    def stall(request: Request) -> Response:
        may_end.wait(30)
        return Response("late")

    sink.expect_request("/hook").respond_with_handler(stall)
    try:
        assert told(sink).verdict is Verdict.RETRY
    finally:
        may_end.set()


def test_nobody_listening_is_a_failure_in_words(private_targets: None) -> None:
    gone = Channel(
        kind=ChannelKind.SIGNED_WEBHOOK, address="http://127.0.0.1:9/hook?token=hidden", secrets=[Sealed.of(SECRET)]
    )
    outcome = channels.send(gone, message())
    assert (outcome.verdict, outcome.is_ours) == (Verdict.RETRY, False)
    assert "hidden" not in outcome.error


def test_a_target_inside_is_refused_before_anything_is_sent(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/hook").respond_with_data("ok")
    inside = httpserver.url_for("/hook").replace("http://", "https://")
    channel = Channel(kind=ChannelKind.SIGNED_WEBHOOK, address=inside, secrets=[Sealed.of(SECRET)])
    outcome = channels.send(channel, message())
    assert (outcome.verdict, requests(httpserver)) == (Verdict.RETRY, [])
    assert "not on the public internet" in outcome.error


def test_slack_gets_one_text_in_which_nothing_is_markup(sink: HTTPServer) -> None:
    sink.expect_request("/hook").respond_with_data("ok")
    assert channels.send(to(sink, ChannelKind.CHAT_WEBHOOK), message()).verdict is Verdict.SENT
    assert body(requests(sink)[0]) == {
        "text": "*Acme: 80 % used*\nAcme has used &lt;most&gt; &amp; more.\n• Left: 20 tokens\nLook.\n"
        "<https://metering.example.com/t/ACME/|Look at the usage of Acme>"
    }


def test_teams_gets_a_card() -> None:
    (attached,) = chat.card(message())["attachments"]
    assert attached["contentType"] == "application/vnd.microsoft.card.adaptive"
    card = attached["content"]
    assert [part["type"] for part in card["body"]] == ["TextBlock", "TextBlock", "FactSet", "TextBlock"]
    assert card["body"][2]["facts"] == [{"title": "Left", "value": "20 tokens"}]
    assert card["actions"][0]["url"] == PLACE.link


def test_a_mail_says_it_as_text_and_as_html_with_an_id_that_stays(box: Mailbox) -> None:
    channel = Channel(kind=ChannelKind.EMAIL, address="owner@acme.example")
    for _ in range(2):
        assert channels.send(channel, message()).verdict is Verdict.SENT
    first, second = box.letters
    assert (first["Subject"], first["To"]) == ("Acme: 80 % used", "owner@acme.example")
    assert first["Message-ID"] == second["Message-ID"]
    assert ID in first["Message-ID"]
    plain, html = text_of(first), text_of(first, "html")
    assert "Acme has used <most> & more." in plain
    assert "Acme has used &lt;most&gt; &amp; more." in html
    for words in ("20 tokens", "Look.", PLACE.link, PLACE.settings):
        assert words in plain
        assert words in html


def test_a_mail_server_that_is_away_is_no_fault_of_the_channel(settings: Settings) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 9
    outcome = channels.send(Channel(kind=ChannelKind.EMAIL, address="owner@acme.example"), message())
    assert (outcome.verdict, outcome.is_ours) == (Verdict.RETRY, True)


def test_a_name_with_markup_is_no_link_and_calls_nobody_in_any_chat() -> None:
    """Mattermost, Rocket.Chat and Teams read Markdown; the first two take @all for everybody."""
    said = replace(
        message(), title="[Pay](https://evil.example) by @all", happened="![x](https://evil.example/x) a@b.c"
    )
    (attached,) = chat.card(said)["attachments"]
    for posted in (chat.text(said)["text"], *(part.get("text", "") for part in attached["content"]["body"])):
        assert "](" not in posted
        assert "@all" not in posted
    assert "a@b.c" in chat.text(said)["text"], "an address is as it was"


def test_an_international_name_is_sent_to_as_it_is_in_the_dns(
    sink: HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink.expect_request("/hook").respond_with_data("ok")
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda *_, **__: [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0))]
    )
    assert posting.post(f"http://bücher.example:{sink.port}/hook", b"{}", {}).verdict is Verdict.SENT
    assert requests(sink)[0].host == f"xn--bcher-kva.example:{sink.port}"
