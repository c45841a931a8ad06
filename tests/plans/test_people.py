"""What owners and admins change about the people of their tenant."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry

from plans import people, seats
from plans.people import ChangeRefused, Refusal, Standing
from tenants import authentication, tokens
from tenants.models import Role, User, UserStatus
from tests import cast
from tests.cast import Company, Person
from tests.parallel import at_once

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


def to(role: Role = Role.ANALYST, status: UserStatus = UserStatus.ACTIVE, *, sees_all: bool = False) -> dict[str, Any]:
    return {"role": role, "status": status, "is_shown_all_usage": sees_all}


def as_role(person: Person, role: Role) -> User:
    User.objects.filter(pk=person.user.pk).update(role=role)
    person.user.refresh_from_db()
    return person.user


def refused(person: User, wanted: dict[str, Any], by: User) -> Refusal:
    before = Standing.of(User.objects.get(pk=person.pk))
    with pytest.raises(ChangeRefused) as error:
        people.change(person, **wanted, by=by, now=NOW)
    assert Standing.of(User.objects.get(pk=person.pk)) == before
    assert str(error.value)
    return error.value.code


def test_an_owner_gives_roles_suspends_and_revives_on_record(acme: Company) -> None:
    person, owner = acme.people[0].user, acme.owner.user
    people.change(person, **to(Role.MANAGER, sees_all=True), by=owner, now=NOW)
    assert (person.role, person.is_shown_all_usage) == (Role.MANAGER, True)
    people.change(person, **to(Role.MANAGER, UserStatus.SUSPENDED, sees_all=True), by=owner, now=NOW)
    assert not person.is_active
    people.change(person, **to(Role.MANAGER), by=owner, now=NOW)
    said = [entry.change_message for entry in LogEntry.objects.filter(user=owner).order_by("id")]
    assert said == [
        "Role ANALYST to MANAGER. Shown everybody's usage.", "Suspended.",
        "Revived. No longer shown everybody's usage.",
    ]  # fmt: skip


def test_what_changes_nothing_is_not_on_record(acme: Company) -> None:
    people.change(acme.people[0].user, **to(), by=acme.owner.user, now=NOW)
    assert not LogEntry.objects.exists()


@pytest.mark.parametrize("role", [Role.MANAGER, Role.ANALYST, Role.VIEWER])
def test_others_change_nobody(acme: Company, role: Role) -> None:
    by = as_role(acme.people[0], role)
    assert refused(acme.people[1].user, to(Role.VIEWER), by) == Refusal.NOT_ALLOWED


def test_a_stranger_and_a_suspended_admin_change_nobody(acme: Company, rival: Company) -> None:
    assert refused(acme.people[0].user, to(Role.VIEWER), rival.owner.user) == Refusal.NOT_ALLOWED
    admin = as_role(acme.people[1], Role.ADMIN)
    User.objects.filter(pk=admin.pk).update(status=UserStatus.SUSPENDED)
    assert refused(acme.people[0].user, to(Role.VIEWER), admin) == Refusal.NOT_ALLOWED


def test_an_admin_changes_all_but_owners(acme: Company) -> None:
    admin = as_role(acme.people[0], Role.ADMIN)
    people.change(acme.people[1].user, **to(Role.ADMIN), by=admin, now=NOW)
    assert refused(acme.people[1].user, to(Role.OWNER), admin) == Refusal.OWNERS_ALONE
    assert refused(acme.owner.user, to(Role.VIEWER), admin) == Refusal.OWNERS_ALONE


def test_nobody_changes_themselves(acme: Company) -> None:
    assert refused(acme.owner.user, to(Role.VIEWER), acme.owner.user) == Refusal.ONESELF


def test_a_role_that_is_given_meanwhile_revives_nobody(acme: Company) -> None:
    seen, owner = acme.people[0].user, acme.owner.user
    people.change(User.objects.get(pk=seen.pk), status=UserStatus.SUSPENDED, by=owner, now=NOW)
    people.change(seen, role=Role.MANAGER, by=owner, now=NOW)
    assert (seen.role, seen.status) == (Role.MANAGER, UserStatus.SUSPENDED)


def test_a_seat_that_is_not_there_is_not_given_back(db: None) -> None:
    full = cast.make_tenant("FULL", "FREE", people=2)
    owner, person = full.owner.user, full.people[0].user
    assert cast.plan("FREE").max_seats == 3
    people.change(person, **to(status=UserStatus.SUSPENDED), by=owner, now=NOW)
    assert seats.free(full.tenant, NOW) == 1
    late = User.objects.create_user("late@full.example", tenant=full.tenant)
    assert refused(person, to(), owner) == Refusal.SEATS_FULL
    people.change(late, **to(Role.VIEWER, UserStatus.SUSPENDED), by=owner, now=NOW)
    people.change(person, **to(), by=owner, now=NOW)


def test_a_suspended_persons_token_answers_401_at_once(acme: Company) -> None:
    person = acme.people[0]

    def ask() -> authentication.Caller:
        credentials = authentication.Credentials(tokens.parse(person.token), None, has_ati=False)
        return authentication.resolve(credentials, now=NOW, fresh=True)

    assert ask().tenant == acme.tenant.id
    people.change(person.user, **to(status=UserStatus.SUSPENDED), by=acme.owner.user, now=NOW)
    with pytest.raises(authentication.Unauthenticated):
        ask()


def test_two_owners_who_depose_each_other_at_once_leave_one(committed: None, acme: Company) -> None:
    first, second = acme.owner.user, as_role(acme.people[0], Role.OWNER)

    def depose(whom: User, by: User) -> Callable[[], object]:
        def deposes() -> Refusal | None:
            try:
                people.change(User.objects.get(pk=whom.pk), **to(Role.VIEWER), by=by, now=NOW)
            except ChangeRefused as error:
                return error.code
            return None

        return deposes

    answers = at_once(depose(first, second), depose(second, first))
    assert sorted(map(str, answers)) == ["NOT_ALLOWED", "None"]
    assert acme.tenant.users.filter(role=Role.OWNER).count() == 1
