"""`python -m bench.world URL`: tenants whose limits are all there and never refuse, and one permit of each.

Prints the service key that may ask for them. The database is that of DATABASE_URL, the one behind URL.
"""

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import django
import httpx2
from django.db import connection, transaction

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "metering_site.settings")
django.setup()

from plans.models import Plan, PlanStatus, PolicyRule, RuleKey, RuleScope  # noqa: E402 - models need the line above
from tenants import tokens  # noqa: E402
from tenants.models import Scope, Tenant  # noqa: E402

TENANTS = 1_000
FEATURE = "PATENT_DRAFTING"
# Large enough never to refuse, and still a limit that every update compares with.
PLENTY = 10**15


def make(url: str) -> str:
    """Make the tenants, let each have one permit through the API, and keep its ask for the floor. The key's text."""
    key = tokens.issue_key("bench", [Scope.ENFORCE], calls_per_second=1_000_000).text
    plan = Plan.objects.get(code="ENTERPRISE", status=PlanStatus.ACTIVE)
    names = [f"BENCH_{number:04}" for number in range(1, TENANTS + 1)]
    with transaction.atomic():
        for name in names:
            _tenant(name, plan)
    with (
        httpx2.Client(base_url=f"{url}/api/v1", headers={"Authorization": f"Bearer {key}"}, timeout=60) as client,
        ThreadPoolExecutor(8) as pool,
    ):
        list(pool.map(lambda name: _cycle(client, name), names))
    with connection.cursor() as cursor:
        cursor.execute((Path(__file__).parent / "asks.sql").read_text())
    return key


def _tenant(name: str, plan: Plan) -> None:
    tenant = Tenant.objects.create(ati_id=name, name=name)
    tokens.issue_root(tenant, plan, starts_at=datetime.now(UTC))
    for rule, feature in (
        (RuleKey.CONCURRENCY_LIMIT, None),
        (RuleKey.MONTHLY_BUDGET, None),
        (RuleKey.DAILY_QUOTA, FEATURE),
        (RuleKey.MONTHLY_QUOTA, FEATURE),
    ):
        PolicyRule.objects.create(
            scope=RuleScope.TENANT, tenant=tenant, feature_id=feature, key=rule, value=PLENTY, reason="benchmark"
        )


def _cycle(client: httpx2.Client, name: str) -> None:
    ask = {"tenant": name, "task": "LLM2_DRAFT", "estimate": {"input_tokens": 1_200, "max_output_tokens": 500}}
    permit = client.post("/enforce", json=ask, headers={"Idempotency-Key": "first"}).raise_for_status().json()
    if not permit["allowed"]:
        raise SystemExit(f"{name}: {permit['code']} {permit['message']}")
    usage = {"usage": {"input_tokens": 1_180, "output_tokens": 300}}
    client.post(f"/reservations/{permit['reservation_id']}/commit", json=usage).raise_for_status()


if __name__ == "__main__":
    print(make(sys.argv[1]))
