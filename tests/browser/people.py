"""How people get in."""

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.backends.db import SessionStore
from playwright.sync_api import Page

from tenants.models import User


def sign_in(page: Page, user: User) -> None:
    """Give a window the session of somebody who has just logged in; quicker than the form."""
    session = SessionStore()
    session[SESSION_KEY] = str(user.pk)
    session[BACKEND_SESSION_KEY] = settings.AUTHENTICATION_BACKENDS[0]
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.create()
    name, value = settings.SESSION_COOKIE_NAME, session.session_key or ""
    page.context.add_cookies([{"name": name, "value": value, "domain": "127.0.0.1", "path": "/", "httpOnly": True}])


def log_in(page: Page, email: str, password: str) -> None:
    """Log in by the form."""
    page.goto("/accounts/login/")
    page.get_by_label("E-mail").fill(email)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()
