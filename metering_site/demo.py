"""A demo world: three tenants with their people, a super admin and a service key, made as a super admin would.

Secrets are random and stored hashed, so whoever wants to keep one has to bring it along: one that still opens
what it should is kept, any other is replaced.
"""

import secrets
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import NamedTuple

from django.db import transaction

from plans import seats
from plans.models import Plan, PlanStatus
from tenants import tokens
from tenants.models import ATIToken, Scope, ServiceKey, Tenant, TokenStatus, User

ADMIN_EMAIL = "admin@metering.example"
NAME = "Demo"


class Company(NamedTuple):
    """A tenant of the demo world."""

    ati_id: str
    name: str
    plan: str

    @property
    def variable(self) -> str:
        return f"METERING_ATI_{self.ati_id}"

    def email(self, person: str) -> str:
        return f"{person}@{self.ati_id.lower()}.example"


COMPANIES = (
    Company("ACME", "Acme Corporation", "PRO"),
    Company("GLOBEX", "Globex Corporation", "ENTERPRISE"),
    Company("INITECH", "Initech", "FREE"),
)


class NoCatalogue(LookupError):
    """A plan of the demo world is not there."""


def make(
    kept: Mapping[str, str], *, url: str, now: datetime, tell: Callable[[str], None] = lambda _: None
) -> dict[str, str]:
    """Make what is missing, and the METERING_* variables with which to use it; `kept` has those of a former run.

    `tell` hears what was made, what is kept and which secrets are new. Raises NoCatalogue before a seed, and
    TokenError, SignUpRefused or User.DoesNotExist where an operator changed the demo world beyond repair.
    """
    for company in COMPANIES:
        _company(company, now, tell)
    acme = COMPANIES[0]
    return {
        "METERING_URL": url,
        "METERING_KEY": _key(kept.get("METERING_KEY", ""), now, tell),
        "METERING_ADMIN_EMAIL": ADMIN_EMAIL,
        "METERING_ADMIN_PASSWORD": _password(_admin(tell), kept.get("METERING_ADMIN_PASSWORD", ""), tell),
        "METERING_TENANT_EMAIL": acme.email("owner"),
        "METERING_TENANT_PASSWORD": _password(_owner(acme), kept.get("METERING_TENANT_PASSWORD", ""), tell),
        **{
            company.variable: _token(_owner(company), kept.get(company.variable, ""), now, tell)
            for company in COMPANIES
        },
    }


def _company(company: Company, now: datetime, tell: Callable[[str], None]) -> None:
    if Tenant.objects.filter(ati_id=company.ati_id).exists():
        tell(f"{company.ati_id} kept")
        return
    plan = Plan.objects.filter(code=company.plan, status=PlanStatus.ACTIVE).first()
    if plan is None:
        raise NoCatalogue(f"There is no plan {company.plan}.")
    with transaction.atomic():
        tenant = Tenant.objects.create(ati_id=company.ati_id, name=company.name)
        root = tokens.issue_root(tenant, plan, starts_at=now)
        _join(root.text, company, "owner", now)
        invitation = tokens.issue_invitation(tenant, name="Employees")
        for person in ("user1", "user2"):
            _join(invitation.text, company, person, now)
    tell(f"{company.ati_id} made on {company.plan}, with an owner and two users")


def _join(invitation: str, company: Company, person: str, now: datetime) -> None:
    password, name = secrets.token_urlsafe(18), f"{company.name}'s {person}"
    seats.join(invitation, email=company.email(person), password=password, name=name, now=now)


def _owner(company: Company) -> User:
    return User.objects.get(email=company.email("owner"), tenant__ati_id=company.ati_id)


def _admin(tell: Callable[[str], None]) -> User:
    admin = User.objects.filter(email=ADMIN_EMAIL).first()
    if admin is None:
        admin = User.objects.create_superuser(ADMIN_EMAIL, name="Demo admin")
        tell(f"{ADMIN_EMAIL} made")
    return admin


def _password(user: User, kept: str, tell: Callable[[str], None]) -> str:
    if kept and user.check_password(kept):
        return kept
    password = secrets.token_urlsafe(18)
    user.set_password(password)
    user.save(update_fields=["password"])
    tell(f"{user.email} has a new password")
    return password


def _key(kept: str, now: datetime, tell: Callable[[str], None]) -> str:
    usable = ServiceKey.objects.usable(now)
    presented = tokens.parse(kept)
    row = usable.filter(prefix=presented.public).first() if presented else None
    if row and presented and presented.matches(bytes(row.hash)):
        return kept
    tell("The service key is new")
    former = usable.filter(name=NAME, tenant=None, replaced_by=None).first()
    if former is not None:
        return tokens.rotate_key(former, now=now, grace=timedelta(0)).text
    return tokens.issue_key(NAME, Scope).text


def _token(user: User, kept: str, now: datetime, tell: Callable[[str], None]) -> str:
    mine = ATIToken.objects.filter(user=user)
    presented = tokens.parse(kept)
    token = mine.filter(fingerprint=presented.public).first() if presented else None
    if token and presented and presented.matches(bytes(token.hash)) and token.state(now) == "ACTIVE":
        return kept
    tell(f"{user.email} has a new ATI token")
    former = mine.filter(name=NAME, status=TokenStatus.ACTIVE).first()
    if former is not None:
        return tokens.renew(former, expires_at=None).text
    return tokens.issue_for_user(user, name=NAME).text
