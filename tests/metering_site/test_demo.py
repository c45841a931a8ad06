"""`manage.py demo`: a world made as a super admin makes one, whose secrets outlive a second run."""

import stat
import subprocess
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from pytest_django import Settings

from metering_site.embedded import prepare
from plans.models import Plan, PlanStatus
from tenants import authentication, tokens
from tenants.models import ATIToken, Role, Scope, ServiceKey, Tenant, TenantPlan, TokenStatus, User
from tests.tenants.credentials import credentials

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _fast_passwords(settings: Settings) -> None:
    """Eleven passwords a run, and hashing is slow on purpose."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


def demo(env_file: Path, *words: str) -> dict[str, str]:
    call_command("demo", "--env-file", str(env_file), *words, stdout=StringIO())
    return prepare.read_env_file(env_file)


@pytest.fixture
def env_file(tmp_path: Path) -> Path:
    return tmp_path / "data" / "dev.env"


@pytest.fixture
def dev(env_file: Path) -> dict[str, str]:
    return demo(env_file, "--url", "http://localhost:8123")


def caller(text: str) -> authentication.Caller:
    return authentication.resolve(credentials(text), now=datetime.now(UTC), fresh=True)


def test_three_tenants_are_on_their_plans_with_owner_and_users(dev: dict[str, str]) -> None:
    assert set(TenantPlan.objects.values_list("tenant__ati_id", "plan__code")) == {
        ("ACME", "PRO"), ("GLOBEX", "ENTERPRISE"), ("INITECH", "FREE"),
    }  # fmt: skip
    for tenant in Tenant.objects.all():
        assert sorted(tenant.users.values_list("role", flat=True)) == [Role.OWNER, Role.VIEWER, Role.VIEWER]
        assert all(user.signup_token for user in tenant.users.select_related("signup_token"))


def test_the_env_file_has_what_one_needs_and_is_private(dev: dict[str, str], env_file: Path) -> None:
    assert set(dev) == {
        "METERING_URL", "METERING_KEY", "METERING_ADMIN_EMAIL", "METERING_ADMIN_PASSWORD", "METERING_TENANT_EMAIL",
        "METERING_TENANT_PASSWORD", "METERING_ATI_ACME", "METERING_ATI_GLOBEX", "METERING_ATI_INITECH",
    }  # fmt: skip
    assert dev["METERING_URL"] == "http://localhost:8123"
    assert stat.S_IMODE(env_file.stat().st_mode) == 0o600
    loaded = subprocess.run(
        ["sh", "-ec", '. "$1"; printf %s "$METERING_KEY"', "sh", str(env_file)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert loaded.stdout == dev["METERING_KEY"]


def test_the_passwords_log_in(dev: dict[str, str]) -> None:
    admin = User.objects.get(email=dev["METERING_ADMIN_EMAIL"])
    owner = User.objects.get(email=dev["METERING_TENANT_EMAIL"])
    assert admin.is_superuser
    assert admin.check_password(dev["METERING_ADMIN_PASSWORD"])
    assert owner.check_password(dev["METERING_TENANT_PASSWORD"])
    assert (owner.role, owner.tenant) == (Role.OWNER, Tenant.objects.get(ati_id="ACME"))


def test_the_key_may_do_everything_for_any_tenant(dev: dict[str, str]) -> None:
    found = caller(dev["METERING_KEY"])
    assert (found.scopes, found.tenant) == (frozenset(Scope), None)


@pytest.mark.parametrize("ati_id", ["ACME", "GLOBEX", "INITECH"])
def test_each_owners_token_calls_for_its_tenant(ati_id: str, dev: dict[str, str]) -> None:
    found = caller(dev[f"METERING_ATI_{ati_id}"])
    tenant = Tenant.objects.get(ati_id=ati_id)
    assert (found.tenant, found.sees_all) == (tenant.id, True)
    assert found.user_key == str(tenant.users.get(role=Role.OWNER).id)


def test_a_second_run_keeps_everything(dev: dict[str, str], env_file: Path) -> None:
    before = (User.objects.count(), ATIToken.objects.count(), ServiceKey.objects.count())
    assert demo(env_file, "--url", "http://localhost:8123") == dev
    assert (User.objects.count(), ATIToken.objects.count(), ServiceKey.objects.count()) == before


def test_without_the_env_file_every_secret_is_new_and_the_old_ones_stop(dev: dict[str, str], env_file: Path) -> None:
    before = (User.objects.count(), ATIToken.objects.count())
    env_file.unlink()
    new = demo(env_file)
    same = {name for name in dev if dev[name] == new[name]}
    assert same == {"METERING_ADMIN_EMAIL", "METERING_TENANT_EMAIL"}
    assert (User.objects.count(), ATIToken.objects.count()) == before
    for name in ("METERING_KEY", "METERING_ATI_ACME"):
        caller(new[name])
        with pytest.raises(authentication.Unauthenticated):
            caller(dev[name])
    assert not User.objects.get(email=dev["METERING_TENANT_EMAIL"]).check_password(dev["METERING_TENANT_PASSWORD"])


def test_a_secret_that_no_longer_works_is_replaced_alone(dev: dict[str, str], env_file: Path) -> None:
    now = datetime.now(UTC)
    tokens.revoke_key(ServiceKey.objects.get(), now=now)
    tokens.set_status(ATIToken.objects.get(user__tenant__ati_id="ACME", user__role=Role.OWNER), TokenStatus.REVOKED)
    new = demo(env_file, "--url", "http://localhost:8123")
    assert {name for name in dev if dev[name] != new[name]} == {"METERING_KEY", "METERING_ATI_ACME"}
    caller(new["METERING_KEY"])
    caller(new["METERING_ATI_ACME"])


def test_the_address_is_written_anew(dev: dict[str, str], env_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METERING_URL", "http://localhost:9000")
    assert demo(env_file) == dev | {"METERING_URL": "http://localhost:9000"}


def test_it_asks_for_the_seed_first(env_file: Path) -> None:
    Plan.objects.filter(code="FREE").update(status=PlanStatus.DEPRECATED)
    with pytest.raises(CommandError, match=r"no plan FREE\. Run `manage\.py seed` first"):
        demo(env_file)
    assert not env_file.exists()


def test_it_says_so_where_its_world_is_beyond_repair(dev: dict[str, str], env_file: Path) -> None:
    User.objects.filter(email=dev["METERING_TENANT_EMAIL"]).update(email="boss@acme.example")
    with pytest.raises(CommandError, match="Begin with an empty database"):
        demo(env_file)


def test_it_tells_what_it_made_and_kept(env_file: Path) -> None:
    def told() -> list[str]:
        out = StringIO()
        call_command("demo", "--env-file", str(env_file), stdout=out)
        return out.getvalue().splitlines()

    assert "ACME made on PRO, with an owner and two users" in told()
    assert told()[:3] == ["ACME kept", "GLOBEX kept", "INITECH kept"]
