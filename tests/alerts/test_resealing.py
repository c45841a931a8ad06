"""Changing the key of what is encrypted, at any moment and with nothing lost."""

from io import StringIO
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.core.management import CommandError, call_command
from pytest_django import Settings

from alerts import resealing
from alerts.fields import Sealed
from alerts.models import Channel
from alerts.resealing import Column
from tests.alerts.telling import SECRET, channel
from tests.cast import Company
from tests.parallel import at_once
from tests.usage.killed import killed

OLD, NEW, OTHER = (Fernet.generate_key().decode() for _ in range(3))


def told(*arguments: str) -> str:
    out = StringIO()
    call_command("reencrypt_secrets", *arguments, stdout=out)
    return out.getvalue()


def made(company: Company, settings: Settings, channels: int, **fields: Any) -> None:
    settings.ENCRYPTION_KEYS = [OLD]
    for number in range(channels):
        channel(company.tenant, "https://example.com/hook", name=f"Ops {number}", **fields)


def opened_by(settings: Settings, *keys: str) -> int:
    """How many secrets these keys open."""
    settings.ENCRYPTION_KEYS = list(keys)
    secrets = [secret for each in Channel.objects.all() for secret in each.secrets]
    return sum(secret.resealed() is not None for secret in secrets)


def test_every_secret_is_under_the_first_key_and_then_the_old_one_may_go(acme: Company, settings: Settings) -> None:
    made(acme, settings, 3)
    Channel.objects.filter(name="Ops 0").update(secrets=[Sealed.of("whsec_first"), Sealed.of("whsec_second")])
    channel(acme.tenant, "owner@acme.example", kind="EMAIL")  # type: ignore[arg-type]  # a value of the choices
    settings.ENCRYPTION_KEYS = [NEW, OLD]
    with pytest.raises(CommandError, match="4 secrets of 4 are encrypted by a key that is not the first"):
        told("--check")
    assert told().splitlines() == [
        "4 secrets of 4 encrypted anew by the first key.",
        "The first key opens all 4 secrets. The others may be dropped.",
    ]
    settings.ENCRYPTION_KEYS = [NEW]
    assert [each.open() for each in Channel.objects.get(name="Ops 0").secrets] == ["whsec_first", "whsec_second"]
    assert Channel.objects.get(name="Ops 1").secrets[0].open() == SECRET
    assert "0 secrets of 4 encrypted anew" in told()
    assert "There is no other." in told("--check")


def test_what_no_key_opens_stays_as_it_is_and_no_key_may_go(acme: Company, settings: Settings) -> None:
    made(acme, settings, 2)
    settings.ENCRYPTION_KEYS = [OTHER]
    lost = Channel.objects.filter(name="Ops 0")
    lost.update(secrets=[Sealed.of(SECRET)])
    before = lost.get().secrets
    settings.ENCRYPTION_KEYS = [NEW, OLD]
    with pytest.raises(
        CommandError, match=rf"None of ENCRYPTION_KEYS opens 1 secret.*{lost.get().pk}.*Take no key out"
    ):
        told()
    assert lost.get().secrets == before
    assert opened_by(settings, NEW) == 1
    assert opened_by(settings, OTHER) == 1


def test_without_a_key_nothing_is_changed(acme: Company, settings: Settings) -> None:
    made(acme, settings, 1)
    before = Channel.objects.get().secrets
    settings.ENCRYPTION_KEYS = []
    with pytest.raises(CommandError, match=r"Nothing was changed\. ENCRYPTION_KEYS is not set\."):
        told()
    assert Channel.objects.get().secrets == before


def test_a_look_writes_nothing(acme: Company, settings: Settings) -> None:
    made(acme, settings, 1)
    before = Channel.objects.get().secrets
    settings.ENCRYPTION_KEYS = [NEW, OLD]
    with pytest.raises(CommandError, match="without --check"):
        told("--check")
    assert Channel.objects.get().secrets == before


def test_it_goes_on_where_it_was_killed(
    committed: None, acme: Company, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(acme, settings, 2 * resealing.TOGETHER + 50)
    settings.ENCRYPTION_KEYS = [NEW, OLD]
    killed("alerts.resealing:_reseal", 2, "reencrypt_secrets", environment={"ENCRYPTION_KEYS": f"{NEW},{OLD}"})
    assert opened_by(settings, NEW) == 2 * resealing.TOGETHER, "two slices"
    settings.ENCRYPTION_KEYS = [NEW, OLD]
    assert "50 secrets of 450 encrypted anew by the first key." in told()
    assert opened_by(settings, NEW) == 450


def test_two_at_once_change_each_secret_once(committed: None, acme: Company, settings: Settings) -> None:
    made(acme, settings, 20)
    settings.ENCRYPTION_KEYS = [NEW, OLD]
    assert sum(found.old for found in at_once(*[resealing.reseal] * 2)) == 20
    assert opened_by(settings, NEW) == 20


def test_every_column_of_the_database_that_is_encrypted_is_known() -> None:
    assert resealing.columns() == [Column(Channel, "secrets")]
