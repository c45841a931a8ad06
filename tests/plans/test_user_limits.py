"""The limits that a tenant's admins set for each user, within the plan's."""

import pytest
from django.contrib.admin.models import LogEntry

from plans import user_limits
from plans.models import Feature, PolicyRule, RuleKey, RuleScope
from plans.user_limits import UserLimit
from tests.cast import Company
from tests.enforcement.api import Api


@pytest.fixture
def api(svc: str) -> Api:
    return Api(svc)


def limit(user: str | None, value: int, key: RuleKey = RuleKey.USER_DAILY_QUOTA) -> UserLimit:
    return UserLimit(user_key=user, feature=Feature.objects.get(code="PRIOR_ART_SEARCH"), key=key, value=value)


def codes(api: Api, user: str, calls: int) -> list[str]:
    found = []
    for _ in range(calls):
        answer = api.enforce("ACME", "LLM1_PRIOR_ART", user=user, tokens_in=10, tokens_out=10)
        found.append(answer["code"])
        if answer["allowed"]:
            api.commit(answer["reservation_id"], status="success", usage={"input_tokens": 1, "api_calls": 1})
    return found


def test_a_limit_for_one_user_binds_that_user_alone(api: Api, acme: Company) -> None:
    user_limits.put(acme.tenant, limit("u-1", 1), by=acme.owner.user)
    assert codes(api, "u-1", 2) == ["OK", "USER_QUOTA_EXCEEDED"]
    assert codes(api, "u-2", 2) == ["OK", "OK"]


def test_a_limit_for_each_user_gives_each_their_own(api: Api, acme: Company) -> None:
    user_limits.put(acme.tenant, limit(None, 1), by=acme.owner.user)
    assert codes(api, "u-1", 2) == ["OK", "USER_QUOTA_EXCEEDED"]
    assert codes(api, "u-2", 2) == ["OK", "USER_QUOTA_EXCEEDED"]


def test_it_never_raises_what_a_super_admin_set(api: Api, acme: Company) -> None:
    PolicyRule.objects.create(
        scope=RuleScope.USER, tenant=acme.tenant, user_key="u-1", feature_id="PRIOR_ART_SEARCH",
        key=RuleKey.USER_DAILY_QUOTA, value=1, reason="abuse",
    )  # fmt: skip
    user_limits.put(acme.tenant, limit("u-1", 100), by=acme.owner.user)
    assert codes(api, "u-1", 2) == ["OK", "USER_QUOTA_EXCEEDED"]


def test_putting_it_again_replaces_it_and_removing_it_frees(api: Api, acme: Company) -> None:
    first = user_limits.put(acme.tenant, limit("u-1", 1), by=acme.owner.user)
    second = user_limits.put(acme.tenant, limit("u-1", 2), by=acme.owner.user)
    assert (second.pk, second.value) == (first.pk, 2)
    assert codes(api, "u-1", 3) == ["OK", "OK", "USER_QUOTA_EXCEEDED"]
    assert list(user_limits.of(acme.tenant)) == [second]
    for _ in range(2):
        user_limits.remove(second, by=acme.owner.user)
    assert codes(api, "u-1", 1) == ["OK"]
    said = [entry.change_message for entry in LogEntry.objects.order_by("id")]
    assert said == [
        "PRIOR_ART_SEARCH for u-1: 1 a day.", "PRIOR_ART_SEARCH for u-1: 2 a day.",
        "PRIOR_ART_SEARCH for u-1: no limit a day any more.",
    ]  # fmt: skip


def test_a_tenant_lists_its_own_limits_alone(acme: Company, rival: Company) -> None:
    mine = user_limits.put(acme.tenant, limit("u-1", 1, RuleKey.USER_MONTHLY_QUOTA), by=acme.owner.user)
    user_limits.put(rival.tenant, limit("u-1", 1), by=rival.owner.user)
    assert list(user_limits.of(acme.tenant)) == [mine]


@pytest.mark.parametrize(("key", "value"), [(RuleKey.DAILY_QUOTA, 1), (RuleKey.USER_DAILY_QUOTA, -1)])
def test_nothing_else_can_be_set(db: None, key: RuleKey, value: int) -> None:
    with pytest.raises(ValueError, match="quota of 0 or more"):
        limit("u-1", value, key)
