"""Who plays in the tests: tenants with people and tokens, and service keys. Plain functions, which work in a
test that is rolled back and in one that is `committed` alike.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

from plans.models import Plan, PlanStatus
from tenants import tokens
from tenants.models import ATIToken, Role, Scope, Tenant, User

STARTED = datetime(2025, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Person:
    """A user of a tenant with the text of their ATI token, which calls the API."""

    user: User
    token: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Company:
    """A tenant with its people; `invitation` is the text of its root token, which signs people up."""

    tenant: Tenant
    root: ATIToken
    invitation: str
    owner: Person
    people: tuple[Person, ...]


def plan(code: str) -> Plan:
    """The seeded plan of a code."""
    return Plan.objects.get(code=code, status=PlanStatus.ACTIVE)


def make_tenant(ati_id: str, plan_code: str = "PRO", *, people: int = 2) -> Company:
    """A tenant on a seeded plan with an OWNER and analysts; `owner@<ati id>.example`, `user1@...`.

    As sign-ups by the root token leave it, but without passwords, whose hashing is slow on purpose.
    """
    tenant = Tenant.objects.create(ati_id=ati_id, name=ati_id.title())
    root = tokens.issue_root(tenant, plan(plan_code), starts_at=STARTED)
    owner, *others = (_join(root.record, "owner" if number == 0 else f"user{number}") for number in range(people + 1))
    ATIToken.objects.filter(pk=root.record.pk).update(usage_count=people + 1)
    root.record.refresh_from_db(fields=["usage_count"])
    return Company(tenant=tenant, root=root.record, invitation=root.text, owner=owner, people=tuple(others))


def _join(root: ATIToken, name: str) -> Person:
    user = User.objects.create_user(
        f"{name}@{root.tenant.ati_id.lower()}.example",
        tenant=root.tenant,
        role=Role.OWNER if name == "owner" else Role.ANALYST,
        signup_token=root,
    )
    return Person(user, tokens.issue_for_user(user).text)


def make_key(*scopes: Scope, tenant: Tenant | None = None) -> str:
    """The text of a service key with these scopes, or with all of them; without a tenant it acts for any."""
    return tokens.issue_key("tests", scopes or list(Scope), tenant=tenant).text
