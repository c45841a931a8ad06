"""A wrong variable stops `manage.py check` with an id and a hint."""

import os
import subprocess
import sys

from metering_site.embedded import folders

USABLE = {
    "SECRET_KEY": "k" * 30 + "0123456789-abcdefghijklmnop",
    "ENCRYPTION_KEYS": f"{'k' * 43}=,{'j' * 43}=",
    "DEBUG": "false",
    "HTTPS": "true",
    "ALLOWED_HOSTS": "metering.example.com",
    "EMAIL_URL": "smtp+tls://metering:secret@mail.example.com:587",
}


def check(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """`manage.py check` in a process of its own, as settings are read once."""
    environment = {**os.environ, **USABLE, **variables}
    return subprocess.run(
        [sys.executable, "manage.py", "check", *arguments],
        cwd=folders.PROJECT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_documented_settings_pass_the_deployment_check() -> None:
    done = check("--deploy", "--fail-level", "WARNING")
    assert done.returncode == 0, done.stderr


def test_every_wrong_variable_is_named_with_a_hint_and_no_password_is_repeated() -> None:
    done = check(
        DATABASE_URL="postgresql://metering:hidden@host:not-a-port/metering",
        REDIS_URL="memcached://host",
        DEBUG="perhaps",
        HSTS_SECONDS="long",
        LOG_LEVEL="loud",
        EMAIL_URL="http://metering:hidden@mail.example.com",
        DEFAULT_FROM_EMAIL="the operator",
        ENCRYPTION_KEYS="hidden,",
        SITE_URL="metering.example.com",
        ALERTS_ALLOW_PRIVATE_TARGETS="maybe",
        METRICS_TOKEN="hidden",
        LOG_PERMITS_SHARE="2",
        SENTRY_DSN="hidden",
        OTEL_TRACES_SHARE="half",
    )
    assert done.returncode != 0
    for name in (
        *("DATABASE_URL", "DEBUG", "HSTS_SECONDS", "EMAIL_URL", "DEFAULT_FROM_EMAIL"),
        *("ENCRYPTION_KEYS", "SITE_URL", "ALERTS_ALLOW_PRIVATE_TARGETS"),
        *("METRICS_TOKEN", "LOG_PERMITS_SHARE", "SENTRY_DSN", "OTEL_TRACES_SHARE"),
    ):
        assert f"(metering_site.E001) {name} cannot be read" in done.stderr
    assert "(metering_site.E004) REDIS_URL" in done.stderr
    assert "(metering_site.E005) LOG_LEVEL" in done.stderr
    assert done.stderr.count("HINT") == 14
    assert "hidden" not in done.stdout + done.stderr


def test_a_missing_key_and_another_database_are_errors_outside_a_deployment_too() -> None:
    """Defect 27: secrets with defaults in code."""
    done = check(SECRET_KEY="", ENCRYPTION_KEYS="", DATABASE_URL="sqlite:////nowhere/db.sqlite3")
    assert done.returncode != 0
    assert "metering_site.E002" in done.stderr
    assert "metering_site.E006" in done.stderr
    assert "metering_site.E001" in done.stderr
    assert "it is not the URL of a PostgreSQL database" in done.stderr


def test_a_deployment_is_warned_of_debug_and_of_cookies_in_the_clear() -> None:
    done = check("--deploy", "--fail-level", "WARNING", DEBUG="true", HTTPS="false")
    assert done.returncode != 0
    for warning in ("security.W018", "security.W008", "security.W016"):
        assert warning in done.stderr


def test_a_deployment_without_a_mail_server_is_told_that_mails_are_only_printed() -> None:
    done = check("--deploy", "--fail-level", "WARNING", EMAIL_URL="")
    assert done.returncode != 0
    assert "(metering_site.W001) EMAIL_URL is not set: mails are printed" in done.stderr
    assert check("--fail-level", "WARNING", EMAIL_URL="").returncode == 0
