"""Log in, log out, a new password by mail, and one's profile, as a browser does it."""

import re
from collections.abc import Iterator
from http import HTTPStatus

import pytest
from allauth.account.models import EmailAddress
from django.contrib.sessions.models import Session
from django.test import Client
from django.urls import get_resolver
from pytest_django import Settings

from tenants import tokens
from tenants.models import Role, TenantStatus, User, UserStatus
from tests import cast, throttled
from tests.console import browser, text_of
from tests.mailbox import Mailbox, mailbox
from tests.mailbox import text_of as words_of

PASSWORD = "a long and quiet road"
LOGIN = "/accounts/login/"
RESET = "/accounts/password/reset/"


@pytest.fixture(autouse=True)
def _fresh(settings: Settings) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    throttled.forget()


@pytest.fixture
def post() -> Iterator[Mailbox]:
    with mailbox() as box:
        yield box


@pytest.fixture
def owner(acme: cast.Company) -> User:
    return with_password(acme.owner.user)


def with_password(user: User, password: str = PASSWORD) -> User:
    user.set_password(password)
    user.save(update_fields=["password"])
    return user


def log_in(client: Client, email: str, password: str = PASSWORD, **more: str) -> str:
    """Where the form leads, or "" where it is shown again."""
    answer = client.post(LOGIN, {"login": email, "password": password, **more})
    return answer.headers.get("Location", "")


def is_logged_in(client: Client) -> bool:
    return client.get("/accounts/profile/").status_code == HTTPStatus.OK


def test_people_log_in_by_e_mail_in_whatever_case_and_come_to_their_tenant(db: None, owner: User) -> None:
    client = browser()
    assert log_in(client, "  Owner@ACME.example ") == "/"
    assert client.get("/").headers["Location"] == "/t/ACME/"
    assert client.get("/t/ACME/").status_code == HTTPStatus.OK
    assert client.get(LOGIN).headers["Location"] == "/"


def test_a_super_admin_comes_to_the_console_by_the_same_page(db: None) -> None:
    User.objects.create_superuser("root@console.example", PASSWORD)
    client = browser()
    sent_to = client.get("/admin/", follow=True)
    assert sent_to.redirect_chain[-1][0].startswith(f"{LOGIN}?next=")
    assert "your session has ended" in text_of(sent_to)
    assert client.get("/admin/login/").headers["Location"].startswith(LOGIN)
    assert log_in(client, "root@console.example") == "/"
    assert client.get("/").headers["Location"] == "/admin/"
    assert client.get("/admin/").status_code == HTTPStatus.OK


def test_the_console_is_closed_to_people_of_a_tenant_in_words(db: None, owner: User) -> None:
    client = browser()
    log_in(client, owner.email)
    refused = client.get("/admin/", follow=True)
    assert refused.status_code == HTTPStatus.FORBIDDEN
    assert "Your role does not allow this" in text_of(refused)


def test_a_stranger_at_the_start_page_is_asked_to_log_in(db: None) -> None:
    assert browser().get("/").headers["Location"] == LOGIN


@pytest.mark.parametrize(
    ("email", "password"),
    [("owner@acme.example", "not my password"), ("nobody@acme.example", PASSWORD), ("user1@acme.example", PASSWORD)],
)
def test_a_wrong_address_and_a_wrong_password_get_the_same_words(
    db: None, owner: User, email: str, password: str
) -> None:
    client = browser()
    answer = client.post(LOGIN, {"login": email, "password": password})
    assert answer.status_code == HTTPStatus.OK
    assert "do not belong together" in text_of(answer)
    assert password not in answer.content.decode()
    assert not is_logged_in(client)


def test_a_suspended_person_cannot_log_in_and_is_told_so_by_their_password_alone(db: None, owner: User) -> None:
    User.objects.filter(pk=owner.pk).update(status=UserStatus.SUSPENDED)
    client = browser()
    answer = client.post(LOGIN, {"login": owner.email, "password": PASSWORD}, follow=True)
    assert "Your account is suspended" in text_of(answer)
    assert not is_logged_in(client)
    wrong = client.post(LOGIN, {"login": owner.email, "password": "not my password"})
    assert "suspended" not in text_of(wrong)


def test_suspending_somebody_ends_their_sessions_at_once(db: None, owner: User) -> None:
    """Defect 28."""
    client = browser()
    log_in(client, owner.email)
    assert client.get("/t/ACME/").status_code == HTTPStatus.OK
    User.objects.filter(pk=owner.pk).update(status=UserStatus.SUSPENDED)
    answer = client.get("/t/ACME/")
    assert answer.headers["Location"] == f"{LOGIN}?next=/t/ACME/"


def test_people_of_a_suspended_tenant_may_still_look(db: None, acme: cast.Company, owner: User) -> None:
    acme.tenant.status = TenantStatus.SUSPENDED
    acme.tenant.save(update_fields=["status"])
    client = browser()
    assert log_in(client, owner.email) == "/"
    assert "is suspended" in text_of(client.get("/t/ACME/"))


def test_an_expired_session_is_led_to_the_log_in_and_back(db: None, owner: User) -> None:
    client = browser()
    log_in(client, owner.email)
    Session.objects.update(expire_date="2020-01-01T00:00Z")
    asked = client.get("/t/ACME/activity/?page=2")
    assert asked.status_code == HTTPStatus.FOUND
    shown = client.get(asked.headers["Location"])
    assert "If you were logged in before, your session has ended." in text_of(shown)
    assert log_in(client, owner.email, next="/t/ACME/activity/?page=2") == "/t/ACME/activity/?page=2"


def test_a_log_in_begins_a_new_session(db: None, owner: User) -> None:
    client = browser()
    before = client.session
    before["kept"] = "no"
    before.save()
    log_in(client, owner.email)
    assert client.cookies["sessionid"].value != before.session_key
    assert not Session.objects.filter(session_key=before.session_key).exists()


@pytest.mark.parametrize(
    "elsewhere",
    ["https://evil.example/", "//evil.example/", r"https:\\evil.example", "javascript:alert(1)", "http:///x"],
)
def test_a_log_in_leads_to_no_other_site(db: None, owner: User, elsewhere: str) -> None:
    assert log_in(browser(), owner.email, next=elsewhere) == "/"
    client = browser()
    log_in(client, owner.email)
    assert client.post("/accounts/logout/", {"next": elsewhere}).headers["Location"] == "/"
    client.force_login(owner)
    assert client.get(LOGIN, {"next": elsewhere}).headers["Location"] == "/"


def test_a_log_out_is_a_button_and_never_a_link(db: None, owner: User) -> None:
    client = browser()
    log_in(client, owner.email)
    assert "Log out?" in text_of(client.get("/accounts/logout/"))
    assert is_logged_in(client)
    answer = client.post("/accounts/logout/", follow=True)
    assert "You are logged out." in text_of(answer)
    assert not is_logged_in(client)
    assert not Session.objects.exists()


def test_forms_from_elsewhere_are_refused(db: None, owner: User) -> None:
    client = browser()
    client.handler.enforce_csrf_checks = True
    for path in (LOGIN, RESET, "/accounts/signup/", "/accounts/logout/"):
        answer = client.post(path, {"login": owner.email, "password": PASSWORD})
        assert answer.status_code == HTTPStatus.FORBIDDEN
        assert "The form was not sent" in text_of(answer)


def test_a_form_opened_before_a_log_in_leads_on_when_it_is_sent_again(db: None, owner: User) -> None:
    client = browser()
    log_in(client, owner.email)
    client.handler.enforce_csrf_checks = True
    assert client.post(LOGIN, {"login": owner.email, "password": PASSWORD}).headers["Location"] == "/"
    assert client.post("/accounts/profile/", {"name": "Mallory"}).status_code == HTTPStatus.FORBIDDEN


def test_a_password_is_reset_by_a_link_that_works_once(db: None, post: Mailbox, owner: User) -> None:
    client, elsewhere = browser(), browser()
    log_in(elsewhere, owner.email)
    sent = client.post(RESET, {"email": "Owner@acme.example"}, follow=True)
    assert "A mail is on its way" in text_of(sent)
    (letter,) = post.letters
    assert (letter["To"], letter["Subject"]) == (owner.email, "Choose a new password")
    assert post.link() in words_of(letter, "html")

    form = client.get(post.link(), follow=True)
    (step,) = form.redirect_chain
    assert post.link().rsplit("-", 1)[1] not in step[0], "the secret is still in the address"
    short = client.post(step[0], {"password1": "short"})
    assert "too short" in text_of(short)
    assert client.post(step[0], {"password1": "another quiet road"}, follow=True).redirect_chain[-1][0] == "/t/ACME/"
    assert is_logged_in(client)
    assert not is_logged_in(elsewhere)
    owner.refresh_from_db()
    assert owner.check_password("another quiet road")

    again = browser().get(post.link())
    assert "This link has ended" in text_of(again)


def test_a_link_to_reset_is_not_good_for_another_account_or_after_an_hour(
    db: None, post: Mailbox, owner: User, acme: cast.Company, settings: Settings
) -> None:
    browser().post(RESET, {"email": owner.email})
    link = post.link()
    other = with_password(acme.people[0].user)
    others = [link.replace(owner.pk.hex, uid) for uid in (other.pk.hex, "0" * 32, "zz")]
    for wrong in [*others, f"{link[:-1]}0/", f"{link[:-2]}/"]:
        assert "This link has ended" in text_of(browser().get(wrong))
    settings.PASSWORD_RESET_TIMEOUT = -1
    assert "This link has ended" in text_of(browser().get(link))


@pytest.mark.parametrize("state", ["unknown", "suspended"])
def test_asking_for_a_reset_tells_nobody_who_has_an_account(db: None, post: Mailbox, owner: User, state: str) -> None:
    known = browser().post(RESET, {"email": owner.email}, follow=True)
    if state == "suspended":
        User.objects.filter(pk=owner.pk).update(status=UserStatus.SUSPENDED)
    address = owner.email if state == "suspended" else "nobody@acme.example"
    answer = browser().post(RESET, {"email": address}, follow=True)
    assert (answer.status_code, answer.redirect_chain, text_of(answer)) == (
        known.status_code,
        known.redirect_chain,
        text_of(known),
    )
    assert post.letters[-1]["Subject"] == "No account with this address"
    assert "/accounts/" not in words_of(post.letters[-1])


def test_a_mail_server_that_is_away_is_told_in_words(db: None, owner: User, settings: Settings) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 9
    for address in (owner.email, "nobody@acme.example"):
        answer = browser().post(RESET, {"email": address})
        assert answer.status_code == HTTPStatus.SERVICE_UNAVAILABLE
        assert "No mail can be sent right now" in text_of(answer)


def test_the_secret_of_a_reset_is_in_no_log(
    db: None, post: Mailbox, owner: User, capfd: pytest.CaptureFixture[str]
) -> None:
    client = browser()
    client.post(RESET, {"email": owner.email})
    client.get(post.link())
    logged = capfd.readouterr().out
    assert "/accounts/password/reset/key/..." in logged
    assert post.link().rsplit("-", 1)[1].strip("/") not in logged


def test_a_changed_password_ends_every_other_session(db: None, owner: User) -> None:
    client, elsewhere = browser(), browser()
    log_in(client, owner.email)
    log_in(elsewhere, owner.email)
    change = "/accounts/password/change/"
    wrong = client.post(change, {"oldpassword": "not it", "password1": "another quiet road"})
    assert "This is not your current password." in text_of(wrong)
    answer = client.post(change, {"oldpassword": PASSWORD, "password1": "another quiet road"}, follow=True)
    assert "Your password is changed." in text_of(answer)
    assert (is_logged_in(client), is_logged_in(elsewhere)) == (True, False)
    assert log_in(browser(), owner.email, "another quiet road") == "/"


def test_whoever_has_no_password_is_led_to_get_one_by_mail(db: None, acme: cast.Company) -> None:
    acme.owner.user.set_unusable_password()
    acme.owner.user.save(update_fields=["password"])
    client = browser()
    client.force_login(acme.owner.user)
    assert client.get("/accounts/password/change/", follow=True).redirect_chain[-1][0] == RESET


def test_the_profile_says_who_one_is_and_whom_to_ask(db: None, acme: cast.Company, owner: User) -> None:
    client = browser()
    client.force_login(acme.people[0].user)
    page = text_of(client.get("/accounts/profile/"))
    assert "user1@acme.example Organisation Acme (ACME) Role Analyst. You see your own usage." in page
    assert "Ask owner@acme.example" in page
    client.force_login(owner)
    page = text_of(client.get("/accounts/profile/"))
    assert "You manage people and tokens" in page
    assert "Ask the operator of this system." in page


def test_people_change_their_name_and_nothing_else_of_themselves(db: None, acme: cast.Company) -> None:
    user = acme.people[0].user
    client = browser()
    client.force_login(user)
    sent = {"name": "  Ann ", "role": "OWNER", "email": "other@acme.example", "status": "SUSPENDED", "tenant": ""}
    assert "Your name is saved." in text_of(client.post("/accounts/profile/", sent, follow=True))
    user.refresh_from_db()
    assert (user.name, user.role, user.email) == ("Ann", Role.ANALYST, "user1@acme.example")
    too_long = client.post("/accounts/profile/", {"name": "x" * 201})
    assert "at most 200 characters" in text_of(too_long)


def test_a_stranger_has_no_profile(db: None) -> None:
    for path in ("/accounts/profile/", "/accounts/password/change/"):
        assert browser().get(path).headers["Location"] == f"{LOGIN}?next={path}"


def test_a_profile_shown_all_usage_says_so(db: None, acme: cast.Company) -> None:
    User.objects.filter(pk=acme.people[0].user.pk).update(is_shown_all_usage=True)
    client = browser()
    client.force_login(acme.people[0].user)
    assert "Analyst. You see everybody's usage." in text_of(client.get("/accounts/profile/"))


def test_allauth_keeps_no_addresses_of_its_own(db: None, post: Mailbox, owner: User) -> None:
    client = browser()
    client.post(RESET, {"email": owner.email})
    client.post(client.get(post.link()).headers["Location"], {"password1": "another quiet road"})
    assert is_logged_in(client)
    assert not EmailAddress.objects.exists()


def test_there_is_no_more_of_allauth_than_is_used(db: None, acme: cast.Company) -> None:
    (accounts,) = [each for each in get_resolver().url_patterns if str(each.pattern) == "accounts/"]
    names = {each.name for each in accounts.url_patterns}  # type: ignore[union-attr]  # an include has them
    assert names == {
        "account_signup", "account_login", "account_logout", "account_inactive", "account_profile",
        "account_change_password", "account_set_password", "account_reset_password", "account_reset_password_done",
        "account_reset_password_from_key", "account_reset_password_from_key_done",
    }  # fmt: skip
    for path in ("email/", "confirm-email/", "reauthenticate/", "login/code/", "3rdparty/", ""):
        assert browser().get(f"/accounts/{path}").status_code == HTTPStatus.NOT_FOUND


def test_an_ati_token_is_no_password(db: None, acme: cast.Company, owner: User) -> None:
    token = tokens.issue_for_user(owner).text
    assert log_in(browser(), owner.email, token) == ""
    assert not re.search(r"ati_[0-9a-f]{16}_", browser().get(LOGIN).content.decode())


@pytest.mark.parametrize("path", ["/accounts/profile/", "/accounts/password/change/"])
def test_no_browser_keeps_a_page_about_oneself(acme: cast.Company, path: str) -> None:
    client = browser()
    client.force_login(with_password(acme.owner.user))
    assert "no-store" in client.get(path)["Cache-Control"]
