"""All settings, read from the environment alone; `.env.example` documents every variable.

A checkout adds two files to it: `.env`, written by its user, and `.data/stack.env`, written by `make run`.
What cannot be read is told by `manage.py check` (metering_site/checks.py), not by a traceback from here.
"""

import base64
import os
import tempfile
import warnings
from collections.abc import Callable
from email.utils import formataddr, parseaddr
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import django_stubs_ext
import environ
from celery.schedules import crontab
from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.core.validators import validate_email

from metering_site import logs
from metering_site.embedded import folders

T = TypeVar("T")

# ModelAdmin[Tenant] and the like are there for the type checker; this lets them run.
django_stubs_ext.monkeypatch()

BASE_DIR = Path(__file__).resolve().parent.parent
environ.Env.read_env(BASE_DIR / ".env")
environ.Env.read_env(folders.DEFAULT_DATA / "stack.env")

# Variable -> why its value could not be read; its default is in force until somebody looks.
UNREADABLE: dict[str, str] = {}


def _read(name: str, convert: Callable[[str], T], default: T) -> T:
    text = os.environ.get(name, "")
    if not text:
        return default
    try:
        return convert(text)
    except ValueError as problem:
        UNREADABLE[name] = str(problem)
        return default


def _yes_or_no(text: str) -> bool:
    if text.lower() in {"1", "true", "yes", "on"}:
        return True
    if text.lower() in {"0", "false", "no", "off"}:
        return False
    raise ValueError(f"{text!r} is neither true nor false")


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


# --- Core ---------------------------------------------------------------------
SECRET_KEY = _read("SECRET_KEY", str, "")
DEBUG = _read("DEBUG", _yes_or_no, False)
ALLOWED_HOSTS = _read("ALLOWED_HOSTS", _words, ["localhost", "127.0.0.1", "[::1]"])

INSTALLED_APPS = [
    "unfold",  # before the admin, whose templates it replaces
    "unfold.contrib.filters",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "rest_framework",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "pgtrigger",
    "django_htmx",
    "allauth",
    "allauth.account",
    "tenants",
    "plans",
    "usage",
    "alerts",
    "enforcement",
    "metering_site",
]
# The API passes the first five; the others let it through untouched (metering_site/middleware.py).
MIDDLEWARE = [
    "metering_site.middleware.RequestLogMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "metering_site.middleware.BrowserContentPolicyMiddleware",
    "metering_site.middleware.BrowserSessionMiddleware",
    "metering_site.middleware.BrowserCommonMiddleware",
    "metering_site.middleware.BrowserAuthenticationMiddleware",
    "metering_site.middleware.BrowserMessageMiddleware",
    "allauth.account.middleware.AccountMiddleware",  # it must bear this name; nothing to do for the API
]
ROOT_URLCONF = "metering_site.urls"
WSGI_APPLICATION = "metering_site.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
FORMAT_MODULE_PATH = "metering_site.formats"


# --- PostgreSQL: the only authority -------------------------------------------
def _database_of(url: str) -> dict[str, Any]:
    try:
        with warnings.catch_warnings(action="ignore"):
            found: dict[str, Any] = environ.Env.db_url_config(url)
    except ValueError:
        found = {}
    if not found.get("NAME") or found["ENGINE"] != "django.db.backends.postgresql":
        # Without the parser's own words, which may quote a password.
        raise ValueError("it is not the URL of a PostgreSQL database, postgresql://user:password@host:5432/name")
    return found


_database = _read("DATABASE_URL", _database_of, _database_of(folders.database_url()))
_options = _database.get("OPTIONS", {})
DATABASES = {
    "default": {
        **_database,
        "ENGINE": "tenants.postgresql",
        # Given as ?host= where it is a socket's folder, which has no place in the host part of a URL.
        "HOST": _options.pop("host", _database["HOST"]),
        "OPTIONS": {
            "connect_timeout": 2,
            # A host that is gone says nothing: over TCP what it has not acknowledged by then counts as lost.
            "tcp_user_timeout": 3000,
            "keepalives_idle": 5,
            "keepalives_interval": 1,
            "keepalives_count": 3,
            "application_name": _read("APPLICATION_NAME", str, "metering"),
            **_options,
        },
        # One connection per thread for good: the threads are few and fixed. A health check costs a query
        # only where the server said something in between (tenants/postgresql).
        "CONN_MAX_AGE": None,
        "CONN_HEALTH_CHECKS": True,
        # Each ledger operation is one statement and commits by itself.
        "ATOMIC_REQUESTS": False,
    }
}

# --- Redis or Valkey: caches, throttles and Celery; nothing is granted on it --
REDIS_URL = _read("REDIS_URL", str, folders.redis_url())
CACHES = {
    "default": {
        "BACKEND": "metering_site.cache.Cache",
        "LOCATION": REDIS_URL,
        "KEY_PREFIX": "metering",
        "OPTIONS": {
            "REDIS_CLIENT_CLASS": "metering_site.cache.Client",
            "SOCKET_CONNECT_TIMEOUT": 1,
            "SOCKET_TIMEOUT": 1,
            "IGNORE_EXCEPTIONS": True,
        },
    }
}

# --- Celery -------------------------------------------------------------------
CELERY_BROKER_URL = REDIS_URL.replace("unix://", "redis+socket://", 1)
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None  # Redis may be away for as long as it likes
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "global_keyprefix": "metering:",
    "socket_connect_timeout": 2,
    "socket_timeout": None,  # redis-py gives up after 5 s, which cuts the worker's blocking read
}
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True  # a killed worker's task comes again; every task is safe to run twice
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TIMEZONE = "UTC"
# Messages have a queue and a worker of their own (-Q alerts): nothing that takes long keeps them waiting. The other
# worker is told of no queue and takes from both, in case that one is restarting.
CELERY_TASK_QUEUES = {name: {"exchange": name, "routing_key": name} for name in ("celery", "alerts")}
CELERY_TASK_ROUTES = {"alerts.tasks.send": {"queue": "alerts"}}
CELERY_BEAT_SCHEDULE = {
    "clear-sessions": {
        "task": "metering_site.celery.clear_sessions",
        "schedule": crontab(hour="3", minute="30"),
    },
    "estimate-holds": {
        "task": "usage.tasks.estimate_holds",
        "schedule": crontab(hour="4", minute="0"),
    },
    # The next one does the work of one that nobody began in time.
    "send-alerts": {"task": "alerts.tasks.send", "schedule": 1.0, "options": {"expires": 1.0}},
    "sweep-alerts": {"task": "alerts.tasks.sweep", "schedule": 60.0, "options": {"expires": 60.0}},
    "look-closely": {"task": "alerts.tasks.look_closely", "schedule": 900.0, "options": {"expires": 900.0}},
    "sweep-simulations": {"task": "enforcement.tasks.sweep_simulations", "schedule": 60.0},
    # One that nobody began in time is not worth doing: the next one does its work.
    "fill-rollups": {"task": "usage.tasks.fill_rollups", "schedule": 5.0, "options": {"expires": 5.0}},
}


# --- Retention ----------------------------------------------------------------
def _retention(text: str) -> int:
    months = int(text)
    if not 4 <= months <= 120:  # a simulation reads 90 days back
        raise ValueError(f"{text} is not from 4 to 120")
    return months


LOG_RETENTION_MONTHS = _read("LOG_RETENTION_MONTHS", _retention, 13)
ARCHIVE_DIR = _read("ARCHIVE_DIR", Path, folders.DEFAULT_DATA / "archive")

# --- Alerts -------------------------------------------------------------------
_KEY_BYTES = 32


def _encryption_keys(text: str) -> list[str]:
    keys = _words(text)
    for number, key in enumerate(keys, 1):
        try:
            is_key = len(base64.urlsafe_b64decode(key)) == _KEY_BYTES
        except ValueError:
            is_key = False
        if not is_key:  # without the key's own text
            raise ValueError(f"number {number} is not {_KEY_BYTES} bytes in URL-safe base64")
    return keys


def _site_url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.path.strip("/") or parts.query:
        raise ValueError(f"{text!r} is not the address of a site, such as https://metering.example.com")
    return f"{parts.scheme}://{parts.netloc}"


# The newest first: it encrypts, and all of them decrypt. There is no default, and nothing is kept in the clear without.
ENCRYPTION_KEYS: list[str] = _read("ENCRYPTION_KEYS", _encryption_keys, [])
# Tenants name the targets of webhooks: nothing inside the own network may be one, unless this says so.
ALERTS_ALLOW_PRIVATE_TARGETS = _read("ALERTS_ALLOW_PRIVATE_TARGETS", _yes_or_no, False)

# --- API ----------------------------------------------------------------------
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["tenants.authentication.CallerAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_FILTER_BACKENDS": ["django_filters.rest_framework.DjangoFilterBackend"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "metering_site.problems.answer",
    "UNAUTHENTICATED_USER": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Metering and quota enforcement",
    "DESCRIPTION": "Reserve budget before an expensive call, commit what was really used after it.",
    "VERSION": "1",
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SERVE_AUTHENTICATION": [],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    # 3.1: null is a type of its own, as in the answers. The components come from the structs that parse and answer.
    "OAS_VERSION": "3.1.0",
    "POSTPROCESSING_HOOKS": ["enforcement.schema.complete"],
    "SORT_OPERATIONS": False,
}

# The calls per second of a service key are divided among the API processes.
API_PROCESSES = _read("WEB_WORKERS", int, 2)
API_THREADS = API_PROCESSES * _read("WEB_THREADS", int, 3)

# --- Browser: people, sessions, static files ----------------------------------
AUTH_USER_MODEL = "tenants.User"
AUTH_PASSWORD_VALIDATORS = [
    {
        "NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator",
        "OPTIONS": {"user_attributes": ["email", "name"]},
    },
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
STATIC_URL = "static/"
WHITENOISE_USE_FINDERS = True  # straight from the packages: no collecting step
WHITENOISE_MAX_AGE = 3600
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "home"
LOGOUT_REDIRECT_URL = "home"
CSRF_FAILURE_VIEW = "metering_site.problems.csrf_failure"
PASSWORD_RESET_TIMEOUT = 3600
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
# People have an e-mail address and no other name; they come by an invitation (plans/pages.py) and never by allauth.
ACCOUNT_ADAPTER = "tenants.accounts.Adapter"
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_EMAIL_SUBJECT_PREFIX = ""
ACCOUNT_SESSION_REMEMBER = True
ACCOUNT_LOGIN_ON_PASSWORD_RESET = True
# allauth's own would copy the address into a table of its own.
ACCOUNT_PASSWORD_RESET_TOKEN_GENERATOR = "django.contrib.auth.tokens.PasswordResetTokenGenerator"  # noqa: S105
ACCOUNT_FORMS = {
    "login": "tenants.accounts.LogInForm",
    "change_password": "tenants.accounts.ChangePasswordForm",
    "reset_password": "tenants.accounts.ResetForm",
    "reset_password_from_key": "tenants.accounts.NewPasswordForm",
}
# One window for all of them, so that it is true for each when to try again. The key of a failed log-in is address and
# account, that of a reset the account. They are counted in Redis, and let everybody through while it is away.
THROTTLE_SECONDS = 600
ACCOUNT_RATE_LIMITS = {
    "signup": f"20/{THROTTLE_SECONDS}s/ip",
    "login": f"100/{THROTTLE_SECONDS}s/ip",
    "login_failed": f"5/{THROTTLE_SECONDS}s/key,30/{THROTTLE_SECONDS}s/ip",
    "reset_password": f"10/{THROTTLE_SECONDS}s/ip,3/{THROTTLE_SECONDS}s/key",
    "reset_password_from_key": f"20/{THROTTLE_SECONDS}s/ip",
    "change_password": f"10/{THROTTLE_SECONDS}s/user",
}
UNFOLD = {
    "SITE_TITLE": "Metering",
    "SITE_HEADER": "Metering",
    "SITE_SUBHEADER": "Times are UTC",
    "SITE_URL": None,  # there is no other site to go back to
    "DASHBOARD_CALLBACK": "metering_site.console.home",
    "SIDEBAR": {"navigation": "metering_site.console.sidebar"},
}


# --- Mail -------------------------------------------------------------------
def _mail_of(url: str) -> dict[str, Any]:
    try:
        found: dict[str, Any] = environ.Env.email_url_config(url)
    except (ImproperlyConfigured, ValueError):
        found = {}
    by_smtp = url.startswith("smtp") and found.get("EMAIL_HOST")
    if not by_smtp and url != "consolemail://":
        # Without the parser's own words, which may quote a password.
        raise ValueError("it is not smtp+tls://user:password@host:587, smtp+ssl://..., smtp://... or consolemail://")
    return found


def _mail_address(text: str) -> str:
    name, address = parseaddr(text)
    try:
        validate_email(address)
    except ValidationError:
        raise ValueError(f"{text!r} is not an address, such as Metering <metering@example.com>") from None
    return formataddr((name, address))


EMAIL_URL = _read("EMAIL_URL", str, "consolemail://")  # mails are printed where no server is named
_mail = _read("EMAIL_URL", _mail_of, _mail_of("consolemail://"))
EMAIL_BACKEND = _mail["EMAIL_BACKEND"]
EMAIL_HOST = _mail["EMAIL_HOST"] or ""
EMAIL_PORT = _mail["EMAIL_PORT"] or 25
EMAIL_HOST_USER = _mail["EMAIL_HOST_USER"] or ""
EMAIL_HOST_PASSWORD = _mail["EMAIL_HOST_PASSWORD"] or ""
EMAIL_USE_TLS = _mail.get("EMAIL_USE_TLS", False)
EMAIL_USE_SSL = _mail.get("EMAIL_USE_SSL", False)
EMAIL_TIMEOUT = 10  # a mail server that says nothing holds a web thread
DEFAULT_FROM_EMAIL = _read("DEFAULT_FROM_EMAIL", _mail_address, "Metering <metering@localhost>")

# --- Security -----------------------------------------------------------------
# HTTPS=false is for a stack on one machine; everywhere else a browser must never send a cookie in the clear.
HTTPS = _read("HTTPS", _yes_or_no, True)
SECURE_SSL_REDIRECT = HTTPS
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$", r"^metrics$"]  # asked by the machine next door, without TLS
BEHIND_PROXY = _read("BEHIND_PROXY", _yes_or_no, False)
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if BEHIND_PROXY else None
# The proxy appends the address it was called from to X-Forwarded-For; whatever stands before it, anybody can send.
ALLAUTH_TRUSTED_PROXY_COUNT = 1 if BEHIND_PROXY else 0
SECURE_HSTS_SECONDS = _read("HSTS_SECONDS", int, 31_536_000) if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = HTTPS
SECURE_HSTS_PRELOAD = HTTPS
SECURE_REFERRER_POLICY = "same-origin"
SESSION_COOKIE_SECURE = HTTPS
CSRF_COOKIE_SECURE = HTTPS
CSRF_COOKIE_HTTPONLY = True
CSRF_TRUSTED_ORIGINS: list[str] = _read("CSRF_TRUSTED_ORIGINS", _words, [])
X_FRAME_OPTIONS = "DENY"

# Where the links of mails and messages lead, which are written without a request.
SITE_URL = _read("SITE_URL", _site_url, f"{'https' if HTTPS else 'http'}://{(ALLOWED_HOSTS or ['localhost'])[0]}")

# --- Logs ---------------------------------------------------------------------
LOG_LEVEL = _read("LOG_LEVEL", str.upper, "INFO")
LOGGING = logs.configuration(LOG_LEVEL)


def _share(text: str) -> float:
    share = float(text)
    if not 0 <= share <= 1:
        raise ValueError(f"{text} is not from 0 to 1")
    return share


# Of permits this share has a line; of all else, all.
LOG_PERMITS_SHARE = _read("LOG_PERMITS_SHARE", _share, 1.0)


# --- Reports of errors and traces: extras, not even imported where these are not set ---
def _dsn(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname or not parts.username or not parts.path.strip("/"):
        # Without the text, which has a key in it.
        raise ValueError("it is not https://key@host/project")
    return text


SENTRY_DSN: str = _read("SENTRY_DSN", _dsn, "")
OTEL_ENDPOINT: str = _read("OTEL_EXPORTER_OTLP_ENDPOINT", _site_url, "")
OTEL_TRACES_SHARE = _read("OTEL_TRACES_SHARE", _share, 0.01)
if OTEL_ENDPOINT:
    MIDDLEWARE.insert(1, "metering_site.tracing.TraceMiddleware")

# --- Metrics ------------------------------------------------------------------
_LEAST_TOKEN = 20


def _token(text: str) -> str:
    if len(text) < _LEAST_TOKEN:  # without the text itself
        raise ValueError(f"it is shorter than {_LEAST_TOKEN} characters")
    return text


# Whoever has it may read /metrics; without one there is no such address.
METRICS_TOKEN: str = _read("METRICS_TOKEN", _token, "")
METRICS_DIR = _read("METRICS_DIR", Path, Path(tempfile.gettempdir()) / f"metering-metrics-{os.getuid()}")
