"""What people and services type reaches pages as text, whatever it looks like; the window's watch hears of the rest."""

from playwright.sync_api import Page, expect

from plans import user_limits
from plans.models import Feature, RuleKey
from plans.user_limits import UserLimit
from tenants import tokens
from tenants.models import Tenant, User
from tests import cast
from tests.browser.people import sign_in
from tests.enforcement.api import Api
from tests.usage.pages import spend

TYPED = """</script><script>window.hit=1</script>"'><img src=x onerror=window.hit=1>\u202e{{7*7}}"""
PATHS = (
    "", "explore/?group_by=user", "explore/?group_by=user&measure=denials", "activity/", "activity/?show=refusals",
    "people/", "people/limits/", "tokens/", "alerts/",
)  # fmt: skip


def test_what_was_typed_stays_text(desktop: Page, acme: cast.Company, svc: str) -> None:
    owner, api = acme.owner.user, Api(svc)
    for key in (TYPED, str(owner.pk)):
        spend(api, "ACME", user=key)
        api.enforce("ACME", "EMBED", user=key, tokens_in=5)
    limit = UserLimit(
        user_key=TYPED, feature=Feature.objects.get(code="PRIOR_ART_SEARCH"), key=RuleKey.USER_DAILY_QUOTA, value=5
    )
    user_limits.put(acme.tenant, limit, by=owner)
    tokens.issue_for_user(owner, name=TYPED)
    User.objects.filter(pk=owner.pk).update(name=TYPED)
    Tenant.objects.filter(pk=acme.tenant.pk).update(name=TYPED)
    sign_in(desktop, owner)
    for path in PATHS:
        desktop.goto(f"/t/ACME/{path}")
        expect(desktop.locator(".brand")).to_contain_text(TYPED)
        assert desktop.evaluate("[window.hit, document.querySelectorAll('[onerror]').length]") == [None, 0]
    for path in ("activity/", "activity/?show=refusals"):
        desktop.goto(f"/t/ACME/{path}")
        desktop.locator("th.when a").first.click()
        expect(desktop.locator("#drawer-content h1, #drawer-content h2").first).to_be_visible()
        assert desktop.evaluate("[window.hit, document.querySelectorAll('[onerror]').length]") == [None, 0]
