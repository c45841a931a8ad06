"""What a user leaves behind in every table, and how to see what is left of it."""

from io import StringIO
from typing import Any
from uuid import uuid4

from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.core.management import call_command
from django.db import connection
from django.utils import timezone

from plans.models import PolicyRule
from tenants import database
from tests.cast import Company
from tests.usage.ledger_world import Books, charge, end, released, totals
from usage.models import Denial, Erasure, UsageMeter

USER = "u-17"
OTHER = "u-17-2"
SOME = totals(30, 10, calls=1, items=1)


def use(company: Company, user: str = USER) -> Books:
    """One of everything that a user leaves behind."""
    books = Books.of(company.tenant.id)
    charges = [charge("UNITS", 40, 10**9, feature="PATENT_DRAFTING"), charge("UNITS", 40, 10**9, user=user)]
    options: dict[str, Any] = {
        "user_key": user, "correlation_id": f"trace of {user}", "metadata": {"who": user},
        "ask": {"user": user, "task": "LLM2_DRAFT"},
    }  # fmt: skip
    done = [books.hold(charges, key=f"{user}:{number}", **options) for number in range(4)]
    books.settle(done[0], end(said=SOME, facts={"error": f"{user} is over quota"}))
    books.settle(done[1], end("REPORT", totals(1, 1)))
    books.settle(done[2], released())
    fact = books.fact(charges[1:], user_key=user)
    books.record(books.event(end(said=SOME), event_id=f"{user}/1", fact=fact))
    Denial.objects.create(
        id=uuid4(), tenant=company.tenant, user_key=user, code="X", message=f"{user}: nothing left",
        binding={"user": user, "unit": "TOKENS"}, minute=timezone.now(), bucket=0, last_at=timezone.now(),
        decision={"ask": {"user": user}, "charges": [[user, None, None, "UNITS", "DAY", "a", "b", "TOKENS"]]},
    )  # fmt: skip
    rule = PolicyRule.objects.create(
        scope="USER", tenant=company.tenant, user_key=user, key="MAX_TOKENS_OUT", value=9, reason=f"{user} asked for it"
    )
    LogEntry.objects.create(
        user=company.owner.user, content_type=ContentType.objects.get_for_model(PolicyRule), object_id=str(rule.pk),
        object_repr=f"USER {user}", action_flag=CHANGE, change_message=f"Raised for {user}.",
    )  # fmt: skip
    for table, slot in (("usage_usagerollup", "15 minutes"), ("usage_dayrollup", "1 day")):
        roll_up(company, table, slot, user)
    return books


def roll_up(company: Company, table: str, slot: str, user: str, cost: int = 7) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} (tenant_id, slot, user_key, feature_id, task_id, status, bookings, unpriced, "
            "input_tokens, cached_input_tokens, cache_write_tokens, output_tokens, reasoning_tokens, api_calls, items, "
            "units, cost, latencies, latency_ms, latency_histogram, held_tokens, held_tokens_used, held_cost, "
            "held_cost_used) SELECT %s, date_bin(%s::interval, now(), 'epoch'), %s, 'PATENT_DRAFTING', 'LLM2_DRAFT', "
            "'COMPLETED', 1, 0, 1, 1, 1, 1, 1, 1, 1, 1, %s, 1, 1, '{0,1}', 1, 1, 1, 1",
            [company.tenant.id, slot, user, cost],
        )


def erase(company: Company, user: str = USER, **options: Any) -> str:
    """Its pseudonym."""
    call_command("erase_user", company.tenant.ati_id, user, yes=True, stdout=StringIO(), **options)
    return Erasure.objects.filter(tenant=company.tenant).latest("started_at").pseudonym


def everything() -> list[tuple[str, str, str]]:
    """Each text of the database with its table and column: what an erasure must have looked through."""
    columns = database.rows(
        "SELECT c.table_name, c.column_name FROM information_schema.columns c JOIN pg_class k "
        "ON k.relname = c.table_name AND k.relnamespace = current_schema()::regnamespace "
        "WHERE c.table_schema = current_schema() AND k.relkind IN ('r', 'p') AND NOT k.relispartition "
        "AND c.data_type NOT IN ('uuid', 'bytea')"
    )
    return [
        (table, column, text)
        for table, column in columns
        for (text,) in database.rows(f"SELECT DISTINCT t.{column}::text FROM {table} t WHERE t.{column} IS NOT NULL")
    ]


def sums(company: Company) -> dict[str, Any]:
    """What bills are made of."""
    tenant = company.tenant.id
    about = {"tenant": tenant}
    return {
        "log": database.rows(
            "SELECT status, sum(cost), sum(units), sum(input_tokens), count(*) FROM usage_usagelog "
            "WHERE tenant_id = %(tenant)s GROUP BY 1 ORDER BY 1", about
        ),
        "meters": sorted(UsageMeter.objects.for_tenant(tenant).values_list("id", "used", "reserved", "overrun")),
        "rolled": database.rows(
            "SELECT sum(cost), sum(bookings) FROM usage_usagerollup WHERE tenant_id = %(tenant)s", about
        ),
        "by user": sorted(
            row[0] for row in database.rows(
                "SELECT sum(cost) FROM usage_usagelog WHERE tenant_id = %(tenant)s GROUP BY user_key", about
            )
        ),
    }  # fmt: skip
