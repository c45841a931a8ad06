"""Plans that came into force, or ended: by an edit, by a date that passed, or by a revision that was published.

No row records that a date passed. So the plan that each tenant was known to have is kept, and compared.
"""

from collections.abc import Iterator
from datetime import datetime

from django.db import connection

from alerts.events import PLAN_CHANGED
from alerts.events.payloads import PlanChanged
from alerts.events.telling import Happened
from plans.models import Plan
from tenants import database

# Whoever changes the row of what was known is the one who tells. A tenant that was not known has had no other plan.
# By the statement's clock, which is later than what was waited for; the view of plans goes by the transaction's.
_CHANGED = """
    WITH in_force AS (
        SELECT t.id AS tenant_id,
               CASE WHEN r.plan_starts_at <= statement_timestamp() AND
                         (r.plan_ends_at IS NULL OR r.plan_ends_at > statement_timestamp())
                    THEN CASE WHEN r.next_plan_at <= statement_timestamp() THEN r.next_plan_id ELSE r.plan_id END
               END AS plan_id
          FROM tenants_tenant t LEFT JOIN tenants_atitoken r ON r.tenant_id = t.id AND r.id = r.root_id
    ), moved AS (
        INSERT INTO alerts_knownplan AS k (tenant_id, plan_id, changes)
        SELECT p.tenant_id, p.plan_id, 0
          FROM in_force p LEFT JOIN alerts_knownplan o ON o.tenant_id = p.tenant_id
         WHERE o.tenant_id IS NULL OR o.plan_id IS DISTINCT FROM p.plan_id
         ORDER BY p.tenant_id
        ON CONFLICT (tenant_id) DO UPDATE
           SET plan_id = EXCLUDED.plan_id, previous_id = k.plan_id, changes = k.changes + 1
         WHERE k.plan_id IS DISTINCT FROM EXCLUDED.plan_id
        RETURNING tenant_id, plan_id, previous_id, changes
    )
    SELECT m.tenant_id, t.ati_id, m.plan_id, m.previous_id, m.changes
      FROM moved m JOIN tenants_tenant t ON t.id = m.tenant_id
     WHERE m.changes > 0
"""


def read(now: datetime) -> Iterator[Happened]:
    """The tenants whose plan is another than was known; from then on it is known, in the caller's transaction."""
    with connection.cursor() as cursor:  # one at a time: who looked earlier and writes later would tell what was
        cursor.execute("LOCK TABLE alerts_knownplan IN SHARE ROW EXCLUSIVE MODE")
    rows = database.rows(_CHANGED)
    plans = Plan.objects.in_bulk({plan for row in rows for plan in row[2:4] if plan is not None})
    for tenant, ati_id, plan_id, previous_id, changes in rows:
        plan, previous = plans.get(plan_id), plans.get(previous_id)
        payload = PlanChanged(
            tenant=ati_id,
            plan=plan.code if plan else None,
            revision=plan.revision if plan else None,
            name=plan.name if plan else None,
            previous_plan=previous.code if previous else None,
            previous_revision=previous.revision if previous else None,
        )
        yield Happened(tenant=tenant, event=PLAN_CHANGED, name=str(changes), at=now, payload=payload)
