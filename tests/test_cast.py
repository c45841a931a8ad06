import pytest
from django.db import connection

from plans.models import Plan, PlanStatus
from tenants import versions
from tenants.models import Role, Tenant, TenantPlan, User
from tests import cast
from tests.parallel import at_once


def test_the_cast_is_on_the_seeded_plans(acme: cast.Company, rival: cast.Company, svc: str) -> None:
    assert svc.startswith("mk_")
    on_pro = TenantPlan.objects.filter(plan=cast.plan("PRO")).values_list("tenant__ati_id", flat=True)
    assert set(on_pro) == {"ACME", "RIVAL"}
    assert acme.owner.user.role == Role.OWNER
    assert {person.user.tenant for person in acme.people} == {acme.tenant}


@pytest.mark.parametrize("_time", ["first", "second"])
def test_a_committed_test_is_seen_by_threads_and_leaves_the_catalogue_alone(
    committed: None, acme: cast.Company, _time: str
) -> None:
    assert not connection.in_atomic_block
    seen = at_once(*[lambda: list(Tenant.objects.values_list("ati_id", flat=True))] * 2)
    assert seen == [["ACME"], ["ACME"]]
    assert User.objects.count() == 3
    assert Plan.objects.filter(status=PlanStatus.ACTIVE).count() == 3
    assert versions.number_of(acme.tenant.id) > 0
