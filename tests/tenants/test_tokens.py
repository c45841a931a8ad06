"""ATI tokens: what is issued, what is kept of it, and what may be done with it afterwards."""

import base64
import hashlib
import hmac
from datetime import UTC, datetime, timedelta

import pytest
from django.db import DatabaseError, connection, transaction
from hypothesis import given
from hypothesis import strategies as st

from tenants import tokens
from tenants.models import ATIToken, Scope, Tenant, TokenStatus, User
from tenants.tokens import TokenError
from tests import cast
from tests.tenants.credentials import refused_by

NOW = datetime.now(UTC)
HOUR = timedelta(hours=1)


def test_a_secret_has_256_bits_and_a_fingerprint_64(acme: cast.Company, svc: str) -> None:
    """Defect 27."""
    for text in (acme.invitation, acme.owner.token, svc):
        kind, public, secret = text.split("_", 2)
        assert kind in ("ati", "mk")
        assert len(bytes.fromhex(public)) == 8
        assert len(base64.urlsafe_b64decode(secret + "=")) == 32


def test_no_two_credentials_share_anything(acme: cast.Company) -> None:
    texts = [tokens.issue_invitation(acme.tenant).text.split("_", 2) for _ in range(50)]
    assert len({public for _, public, _ in texts}) == len({secret for _, _, secret in texts}) == 50


def test_the_database_keeps_the_hash_of_a_credential_and_never_its_text(acme: cast.Company) -> None:
    """Defect 27: every text, JSON and binary column of every table is looked through."""
    tokens.renew(acme.root, expires_at=None)
    key = tokens.issue_key("search", [Scope.ENFORCE], tenant=acme.tenant)
    rotated = tokens.rotate_key(key.record, now=NOW, grace=HOUR)
    secrets = [text.split("_", 2)[2] for text in (acme.invitation, acme.owner.token, key.text, rotated.text)]

    columns = 0
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.table_name, c.column_name, c.udt_name FROM information_schema.columns c "
            "JOIN information_schema.tables t USING (table_schema, table_name) "
            "WHERE table_schema = 'public' AND table_type = 'BASE TABLE' "
            "AND udt_name = ANY('{text,varchar,bpchar,bytea,json,jsonb,_text,_varchar,_bytea}')"
        )
        for table, column, kind in cursor.fetchall():
            text = f"encode({column}, 'escape')" if kind == "bytea" else f"{column}::text"
            cursor.execute(
                f'SELECT count(*) FROM "{table}" WHERE {text} LIKE ANY(%s)', [[f"%{secret}%" for secret in secrets]]
            )
            assert cursor.fetchone() == (0,), f"{table}.{column}"
            columns += 1
    assert columns > 50

    key.record.refresh_from_db()
    assert bytes(key.record.hash) == hashlib.sha256(key.text.encode()).digest()


def test_credentials_are_compared_in_constant_time(acme: cast.Company, monkeypatch: pytest.MonkeyPatch) -> None:
    """Defect 27: no comparison of secrets but `hmac.compare_digest`."""
    compared = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((len(one), len(other)))
        return one == other

    monkeypatch.setattr(hmac, "compare_digest", compare)
    presented = tokens.parse(acme.invitation)
    assert presented is not None
    assert presented.matches(bytes(acme.root.hash))
    assert not presented.matches(b"\0" * 32)
    assert compared == [(32, 32), (32, 32)]


def test_what_was_parsed_does_not_show_the_secret(acme: cast.Company) -> None:
    presented = tokens.parse(acme.invitation)
    assert presented is not None
    assert (presented.kind, presented.public) == ("ati", acme.root.fingerprint)
    assert acme.invitation.split("_", 2)[2] not in repr(presented)
    assert str(acme.root) == f"ati_{acme.root.fingerprint}"


PUBLIC, SECRET = "0123456789abcdef", "A" * 43
ARABIC_DIGITS = "\N{ARABIC-INDIC DIGIT ONE}" * 16


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ati",
        "ati__",
        f"ati_{PUBLIC}",
        f"ati_{PUBLIC}_",
        f"ATI_{PUBLIC}_{SECRET}",
        f"key_{PUBLIC}_{SECRET}",
        f"ati_{PUBLIC.upper()}_{SECRET}",
        f"ati_{PUBLIC[:-1]}_{SECRET}",
        f"ati_{PUBLIC}_{SECRET}A",
        f"ati_{PUBLIC}_{SECRET[:-1]}",
        f"ati_{PUBLIC}_{SECRET[:-1]}=",
        f"ati_{PUBLIC}_{SECRET[:-1]}\n",
        f"ati_{PUBLIC}_{SECRET}\n",
        f" ati_{PUBLIC}_{SECRET}",
        f"ati_{PUBLIC}_{SECRET[:-1]}\N{CYRILLIC CAPITAL LETTER A}",
        f"ati_{ARABIC_DIGITS}_{SECRET}",
        f"ati_{PUBLIC}_{SECRET}\0",
    ],
)
def test_parse_refuses_what_has_not_the_form_of_a_credential(text: str) -> None:
    assert tokens.parse(text) is None


@given(st.text())
def test_parse_takes_any_text(text: str) -> None:
    assert tokens.parse(text) is None


@pytest.mark.parametrize("kind", ["ati", "mk"])
def test_parse_reads_a_credential(kind: str) -> None:
    text = f"{kind}_{PUBLIC}_{SECRET}"
    presented = tokens.parse(text)
    assert presented == tokens.Presented(kind, PUBLIC, hashlib.sha256(text.encode()).digest())


def test_a_token_shows_in_which_state_it_is(acme: cast.Company) -> None:
    invitation = tokens.issue_invitation(acme.tenant, max_uses=1, expires_at=NOW + HOUR).record
    assert invitation.state(NOW) == "ISSUED"
    assert invitation.state(NOW + HOUR) == "EXPIRED"
    invitation.usage_count = 1
    assert invitation.state(NOW) == "USED_UP"
    invitation.max_uses = 2
    assert invitation.state(NOW) == "ACTIVE"
    assert tokens.issue_for_user(acme.owner.user).record.state(NOW) == "ACTIVE"
    for status in (TokenStatus.SUSPENDED, TokenStatus.REVOKED):
        tokens.set_status(invitation, status)
        assert invitation.state(NOW + HOUR) == status


def test_a_suspended_token_can_be_revived_and_a_revoked_one_cannot(acme: cast.Company) -> None:
    """Defect 23."""
    token = tokens.issue_invitation(acme.tenant).record
    tokens.set_status(token, TokenStatus.SUSPENDED)
    tokens.set_status(token, TokenStatus.ACTIVE)
    tokens.set_status(token, TokenStatus.REVOKED)
    tokens.set_status(token, TokenStatus.REVOKED)
    for status in (TokenStatus.ACTIVE, TokenStatus.SUSPENDED):
        with pytest.raises(TokenError, match="stays revoked"):
            tokens.set_status(token, status)
    with pytest.raises(TokenError, match="stays revoked"):
        tokens.renew(token, expires_at=None)
    token.refresh_from_db()
    assert token.status == TokenStatus.REVOKED


def test_renewal_keeps_the_token_and_changes_its_secret(acme: cast.Company) -> None:
    old = bytes(acme.root.hash)
    renewed = tokens.renew(acme.root, expires_at=NOW + HOUR)
    token = ATIToken.objects.get(fingerprint=renewed.text.split("_")[1])
    assert (token.pk, token.plan_tier(NOW), token.expires_at) == (acme.root.pk, "PRO", NOW + HOUR)
    assert bytes(token.hash) != old
    acme.tenant.refresh_from_db()
    assert acme.tenant.root_token == token


def test_a_tenant_has_one_root_token_for_good(acme: cast.Company) -> None:
    with pytest.raises(TokenError, match="renew it"):
        tokens.issue_root(acme.tenant, cast.plan("FREE"), starts_at=NOW)
    with refused_by("tenants_atitoken_one_root_per_tenant"):
        _copy_of(acme.root)
    branch = tokens.issue_invitation(acme.tenant).record
    with refused_by("tenants_atitoken_root_is_the_tenants"):
        Tenant.objects.filter(pk=acme.tenant.pk).update(root_token=branch)


def _copy_of(root: ATIToken) -> None:
    other = ATIToken(
        tenant=root.tenant,
        fingerprint="0" * 16,
        hash=b"\0" * 32,
        plan=root.plan,
        plan_starts_at=NOW,
    )
    other.root_id = other.id
    other.save(force_insert=True)


def test_a_super_admin_has_no_token() -> None:
    with pytest.raises(TokenError, match="belongs to no tenant"):
        tokens.issue_for_user(User(email="root@people.example"))


def test_a_branch_needs_a_root(db: None) -> None:
    tenant = Tenant.objects.create(ati_id="NEWCO", name="Newco")
    with pytest.raises(TokenError, match="no root token yet"):
        tokens.issue_invitation(tenant)
    root = tokens.issue_root(Tenant.objects.get(pk=tenant.pk), cast.plan("FREE"), starts_at=NOW)
    branch = tokens.issue_invitation(tenant)
    assert branch.record.root == root.record


@pytest.mark.parametrize("field", ["tenant", "root", "user"])
def test_a_token_never_changes_hands(acme: cast.Company, rival: cast.Company, field: str) -> None:
    token = ATIToken.objects.get(user=acme.owner.user)
    theirs = {"tenant": rival.tenant, "root": rival.root, "user": acme.people[0].user}
    with pytest.raises(DatabaseError, match="Cannot update"), transaction.atomic():
        ATIToken.objects.filter(pk=token.pk).update(**{field: theirs[field]})


@pytest.mark.parametrize(
    ("constraint", "values"),
    [
        ("tenants_atitoken_status", {"status": "USED_UP"}),
        ("tenants_atitoken_status", {"status": "active"}),
        ("tenants_atitoken_max_uses_check", {"max_uses": -1}),
        ("tenants_atitoken_usage_count_check", {"usage_count": -1}),
        ("tenants_atitoken_fingerprint_key", {"fingerprint": "taken"}),
    ],
)
def test_the_database_refuses_a_token_that_cannot_be(
    acme: cast.Company, constraint: str, values: dict[str, object]
) -> None:
    token = tokens.issue_invitation(acme.tenant).record
    if "fingerprint" in values:
        values = {"fingerprint": acme.root.fingerprint}
    with refused_by(constraint):
        ATIToken.objects.filter(pk=token.pk).update(**values)


def test_a_users_token_counts_no_sign_ups(acme: cast.Company) -> None:
    with refused_by("tenants_atitoken_max_uses_on_invitation"):
        ATIToken.objects.filter(user=acme.owner.user).update(max_uses=1)
