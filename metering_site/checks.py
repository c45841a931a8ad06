"""System checks of the settings: a wrong value stops `manage.py check` with an id and a hint."""

from collections.abc import Sequence

from django.apps import AppConfig
from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage, Error, register
from django.core.exceptions import ImproperlyConfigured

from metering_site import logs


@register()
def settings_are_usable(app_configs: Sequence[AppConfig] | None = None, **_: object) -> list[CheckMessage]:
    """Every variable could be read, and those without a default are there."""
    found: list[CheckMessage] = [
        Error(f"{name} cannot be read: {why}.", hint="See .env.example for its form.", id="metering_site.E001")
        for name, why in settings.UNREADABLE.items()
    ]
    if not _has_secret_key():
        hint = 'Set it to 50 random characters: python -c "import secrets; print(secrets.token_urlsafe(48))"'
        found.append(Error("SECRET_KEY is not set.", hint=hint, id="metering_site.E002"))
    if not settings.ENCRYPTION_KEYS and "ENCRYPTION_KEYS" not in settings.UNREADABLE:
        hint = (
            "Set it to 32 random bytes, and keep them: "
            'python -c "import base64, os; print(base64.urlsafe_b64encode(os.urandom(32)).decode())"'
        )
        found.append(Error("ENCRYPTION_KEYS is not set.", hint=hint, id="metering_site.E006"))
    if not settings.REDIS_URL.startswith(("redis://", "rediss://", "unix://")):
        hint = "Set REDIS_URL to redis://host:6379/0, rediss://... or unix:///path/to/socket."
        found.append(Error("REDIS_URL is not the URL of a Redis or Valkey.", hint=hint, id="metering_site.E004"))
    if settings.LOG_LEVEL not in logs.LEVELS:
        hint = f"Set LOG_LEVEL to one of {', '.join(logs.LEVELS)}."
        found.append(Error(f"LOG_LEVEL {settings.LOG_LEVEL} is not known.", hint=hint, id="metering_site.E005"))
    return found


@register(deploy=True)
def mail_leaves(app_configs: Sequence[AppConfig] | None = None, **_: object) -> list[CheckMessage]:
    """A deployment has a mail server; without one what is mailed is printed."""
    if settings.EMAIL_URL != "consolemail://":
        return []
    told = "EMAIL_URL is not set: mails are printed on standard output; nobody can reset a password or is told by mail."
    hint = "Set it to smtp+tls://user:password@host:587, and DEFAULT_FROM_EMAIL to the sender."
    return [checks.Warning(told, hint=hint, id="metering_site.W001")]


def _has_secret_key() -> bool:
    try:
        return bool(settings.SECRET_KEY)
    except ImproperlyConfigured:  # Django's way of saying that it is empty
        return False
