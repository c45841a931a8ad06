"""Secrets that the database keeps and cannot read."""

import pytest
from cryptography.fernet import Fernet
from django.db import connection
from pytest_django import Settings

from alerts.fields import CannotDecrypt, Sealed
from alerts.models import Channel, ChannelKind
from tests.cast import Company

OLD, NEW = (Fernet.generate_key().decode() for _ in range(2))


def kept(acme: Company, *secrets: str) -> Channel:
    channel = Channel.objects.create(
        tenant=acme.tenant, name="Ops", kind=ChannelKind.SIGNED_WEBHOOK, address="https://example.com/hook",
        secrets=[Sealed.of(text) for text in secrets],
    )  # fmt: skip
    return Channel.objects.get(pk=channel.pk)


def test_a_secret_is_encrypted_in_the_database_and_opened_where_it_is_used(acme: Company) -> None:
    channel = kept(acme, "whsec_first", "whsec_second")
    with connection.cursor() as cursor:
        cursor.execute("SELECT secrets::text FROM alerts_channel")
        (stored,) = cursor.fetchone()
    assert "whsec" not in stored
    assert [secret.open() for secret in channel.secrets] == ["whsec_first", "whsec_second"]
    assert "whsec" not in repr(channel.secrets)
    assert channel.secrets[0].ciphertext not in repr(channel.secrets)


def test_a_new_key_goes_before_the_old_one_which_still_decrypts(acme: Company, settings: Settings) -> None:
    settings.ENCRYPTION_KEYS = [OLD]
    channel = kept(acme, "whsec_first")
    settings.ENCRYPTION_KEYS = [NEW, OLD]
    assert channel.secrets[0].open() == "whsec_first"
    rewritten = Sealed.of("whsec_first")
    settings.ENCRYPTION_KEYS = [NEW]
    assert rewritten.open() == "whsec_first"


def test_a_wrong_key_and_none_fail_and_never_answer_what_is_stored(acme: Company, settings: Settings) -> None:
    settings.ENCRYPTION_KEYS = [OLD]
    channel = kept(acme, "whsec_first")
    for keys in ([NEW], []):
        settings.ENCRYPTION_KEYS = keys
        channel.refresh_from_db()
        with pytest.raises(CannotDecrypt):
            channel.secrets[0].open()
    with pytest.raises(CannotDecrypt):
        Sealed.of("whsec_second")


def test_a_text_that_was_not_encrypted_is_never_written(acme: Company) -> None:
    channel = kept(acme)
    channel.secrets = ["whsec_plain"]  # type: ignore[list-item]  # what this is about
    with pytest.raises(TypeError, match="Sealed"):
        channel.save(update_fields=["secrets"])
