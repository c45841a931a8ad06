"""`manage.py plan`: the revisions of a plan, drafted, checked, published and rolled back."""

import argparse
import sys
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from django.contrib.admin.models import CHANGE, LogEntry
from django.core.management.base import CommandError, CommandParser
from django.utils.dateparse import parse_datetime
from rich.table import Table

from plans import promises, publishing
from plans.models import Plan, PlanStatus
from plans.publishing import Move, PublishingError, When, edits
from plans.publishing.moves import instant
from tenants import commands
from tenants.models import ATIToken, Role, User

_PLAN = "the plan's code, where it has one draft, or code:revision, such as PRO:2"
_BY = "the super admin in whose name the audit trail keeps it"
_LIST = "all revisions, with how many tenants hold each"
_DRAFT = """\
Makes the next revision of a plan: a draft that promises what the active one does, with the changes you set.
Nothing is in force before `plan publish`.

    manage.py plan draft PRO --set PATENT_DRAFTING.daily_quota=400000 --set MAX_TOKENS_OUT@LLM2_DRAFT=4000

A path is max_seats, monthly_budget (USD), FEATURE or TASK (yes or no: whether the plan has it), a field of one
(FEATURE.enabled, .daily_quota, .monthly_quota, .daily_token_limit, .monthly_token_limit, .overage; TASK.classes,
.default_class, .allow_downgrade), or a cap or gate, for all (MAX_TOKENS_OUT) or for one task or feature
(MAX_TOKENS_OUT@TASK), which “none” takes out of the plan. A limit is a whole number or “unlimited”; 0 is nothing."""
_DIFF = """\
What a draft changes of the revision it is based on.

    manage.py plan diff PRO"""
_CHECK = """\
What a draft says against itself, or an exception of a tenant it would be given to: a default class that is not allowed,
a quota below the smallest hold, a rule for another tenant's user. Errors refuse its publication, and the exit code is
then 1; warnings are shown.

    manage.py plan check PRO"""
_PUBLISH = """\
Makes a draft the active revision and moves the tenants that hold the one before, in one transaction: at once, at an
instant, or each at the end of its running month. New tenants get it at once. Shows first what changes and who is
affected, and asks.

    manage.py plan publish PRO --next-period
    manage.py plan publish PRO:2 --at 2027-01-01T00:00Z --yes"""
_ROLLBACK = """\
Makes the revision before the active one active again, now, and puts all who hold the active one back on it.

    manage.py plan rollback PRO"""


class Command(commands.TeachingCommand):
    """Works on the revisions of plans; every word of it is `plans.publishing`."""

    help = """\
A plan that is live cannot change. To change what is promised, make a draft of its next revision, look at what it
changes, check it, simulate it, publish it; and roll it back where that was wrong.

    manage.py plan draft PRO --set PATENT_DRAFTING.daily_quota=400000
    manage.py plan diff PRO
    manage.py plan check PRO
    manage.py plan publish PRO --next-period
    manage.py plan rollback PRO"""

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="list|draft|diff|check|publish|rollback")

        def verb(name: str, description: str) -> Any:  # noqa: ANN401 - a parser, which the stubs do not say
            return verbs.add_parser(
                name,
                help=description.splitlines()[0],
                description=description,
                formatter_class=argparse.RawDescriptionHelpFormatter,
            )

        verb("list", _LIST)
        draft = verb("draft", _DRAFT)
        draft.add_argument("code", help="the code of an active plan")
        draft.add_argument("--set", action="append", default=[], dest="edits", metavar="PATH=VALUE", help="a change")
        for name, description in (("diff", _DIFF), ("check", _CHECK)):
            verb(name, description).add_argument("plan", help=_PLAN)
        publish = verb("publish", _PUBLISH)
        publish.add_argument("plan", help=_PLAN)
        when = publish.add_mutually_exclusive_group()
        when.add_argument("--at", metavar="INSTANT", help="from this instant on, such as 2027-01-01T00:00Z")
        when.add_argument("--next-period", action="store_true", help="each tenant at the end of its running month")
        publish.add_argument(
            "--unsimulated", action="store_true", help="although it was not simulated since its last edit"
        )
        rollback = verb("rollback", _ROLLBACK)
        rollback.add_argument("code", help="the plan's code")
        for changing in (publish, rollback):
            changing.add_argument("--yes", action="store_true", help="without asking")
            changing.add_argument("--by", metavar="EMAIL", help=_BY)

    def handle(self, *, verb: str, **options: Any) -> None:  # noqa: ANN401 - the options of every command
        try:
            getattr(self, f"_{verb}")(datetime.now(UTC), options)
        except (PublishingError, edits.EditRefused) as problem:
            raise CommandError(f"Nothing was changed. {problem}") from problem

    def _list(self, now: datetime, options: dict[str, Any]) -> None:
        table = Table("Plan", "Status", "Based on", "Holders", "Simulated")
        pairs = ATIToken.objects.roots().values_list("plan", "next_plan")
        holders = Counter(plan for pair in pairs for plan in set(pair))
        for plan in Plan.objects.select_related("based_on"):
            based_on = str(plan.based_on or "")
            simulated = instant(plan.simulated_at) if plan.simulated_at else ""
            table.add_row(str(plan), plan.status.capitalize(), based_on, f"{holders[plan.pk]:,}", simulated)
        self._print(table)

    def _draft(self, now: datetime, options: dict[str, Any]) -> None:
        code: str = options["code"]
        live = Plan.objects.filter(code=code, status=PlanStatus.ACTIVE).first()
        promised = None
        if live is not None:
            promised = edits.edited(promises.of(live), options["edits"], edits.vocabulary())
        made = publishing.draft(code, promised)
        self._show_changes(made)
        self.stdout.write(f"{made} is a draft. Next: manage.py plan check {code}:{made.revision}")

    def _diff(self, now: datetime, options: dict[str, Any]) -> None:
        self._show_changes(_plan(options["plan"]))

    def _check(self, now: datetime, options: dict[str, Any]) -> None:
        plan = _plan(options["plan"])
        found = publishing.contradictions(plan, now=now)
        if not found:
            self.stdout.write(f"{plan} does not contradict itself.")
            return
        table = Table("", "Name", "What")
        for each in found:
            table.add_row("error" if each.is_error else "warning", each.kind, each.text)
        self._print(table)
        errors = sum(each.is_error for each in found)
        self.stdout.write(f"{plan}: {errors:,} errors, {len(found) - errors:,} warnings.")
        if errors:
            raise SystemExit(1)

    def _publish(self, now: datetime, options: dict[str, Any]) -> None:
        plan, by = _plan(options["plan"]), _by(options["by"])
        at = _when(options)
        found = publishing.contradictions(plan, now=now)
        errors = [each for each in found if each.is_error]
        if errors:
            raise publishing.Contradicted(plan, errors)
        self._show_changes(plan)
        for each in found:
            self.stdout.write(f"Warning: {each.text}")
        self._show_moves(publishing.affected(plan, now=now, at=at))
        when = instant(at) if isinstance(at, datetime) else at
        self._confirm(f"Publish {plan} ({when})?", options)
        done = publishing.publish(
            plan, now=now, at=at, unsimulated=options["unsimulated"], by=options["by"] or "manage.py"
        )
        _audit(by, done.plan, f"Published ({when}): {done.counted}.")
        self.stdout.write(f"{done.plan} is active now. {done.counted}.")

    def _rollback(self, now: datetime, options: dict[str, Any]) -> None:
        by = _by(options["by"])
        plan = Plan.objects.filter(code=options["code"], status=PlanStatus.ACTIVE).first()
        if plan is None:
            raise CommandError(f"There is no active plan {options['code']}. {_known()}")
        self._show_moves(publishing.affected_by_rollback(plan, now=now))
        self._confirm(f"Roll {plan} back to {plan.predecessor}?", options)
        done = publishing.rollback(plan, now=now, by=options["by"] or "manage.py")
        _audit(by, plan, f"Rolled back to {done.plan}: {done.counted}.")
        self.stdout.write(f"{done.plan} is active again. {done.counted}.")

    def _show_changes(self, plan: Plan) -> None:
        found = publishing.diff(plan)
        if not found:
            self.stdout.write(f"{plan} promises exactly what {plan.based_on} does.")
            return
        table = Table("What", str(plan.based_on or "–"), str(plan))
        for change in found:
            table.add_row(change.what, change.before, change.after)
        self._print(table)

    def _show_moves(self, made: tuple[Move, ...]) -> None:
        if not made:
            self.stdout.write("No tenant is affected.")
            return
        table = Table("Tenants", "What becomes of them", "Which")
        for group in publishing.grouped(made):
            table.add_row(f"{len(group.tenants):,}", group.becomes, group.names)
        self._print(table)

    def _print(self, table: Table) -> None:
        self.stdout.write(commands.printed(table).rstrip("\n"))

    def _confirm(self, question: str, options: dict[str, Any]) -> None:
        if options["yes"]:
            return
        if not sys.stdin.isatty():
            raise CommandError(f"Nothing was changed. {question} Say so with --yes: there is nobody to ask here.")
        if input(f"{question} [y/N] ").strip().lower() not in {"y", "yes"}:
            raise CommandError("Nothing was changed.")


def _plan(named: str) -> Plan:
    """The draft of a code, or the revision written as CODE:REVISION."""
    code, _, revision = named.partition(":")
    rows = list(Plan.objects.filter(code=code).select_related("based_on").order_by("revision"))
    if not rows:
        raise CommandError(f"There is no plan {code}. {_known()}")
    if revision:
        chosen = [plan for plan in rows if str(plan.revision) == revision]
    else:
        chosen = [plan for plan in rows if plan.status == PlanStatus.DRAFT]
    if len(chosen) == 1:
        return chosen[0]
    known = _listed(rows if revision else chosen)
    if revision:
        raise CommandError(f"{code} has no revision {revision}. Known are {known}.")
    if chosen:
        raise CommandError(f"{code} has several drafts, say which: {known}.")
    raise CommandError(f"{code} has no draft. Make one with `manage.py plan draft {code}`.")


def _listed(plans: Iterable[Plan]) -> str:
    return ", ".join(f"{plan.code}:{plan.revision}" for plan in plans)


def _known() -> str:
    return f"Known are {', '.join(sorted(set(Plan.objects.values_list('code', flat=True)))) or 'none'}."


def _when(options: dict[str, Any]) -> datetime | When:
    if options["next_period"]:
        return When.NEXT_PERIOD
    if options["at"] is None:
        return When.NOW
    try:
        at = parse_datetime(options["at"])
        if at is not None and at.utcoffset() is not None:
            return at.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise CommandError(f"{options['at']} is no instant with its zone; write it like 2027-01-01T00:00Z.")


def _by(email: str | None) -> User | None:
    if email is None:
        return None
    admins = User.objects.filter(role=Role.SUPER_ADMIN)
    found = admins.filter(email=User.normalize_username(email)).first()
    if found is None:
        known = ", ".join(admins.values_list("email", flat=True)) or "none"
        raise CommandError(f"There is no super admin {email}. Known are {known}.")
    return found


def _audit(by: User | None, plan: Plan, what: str) -> None:
    if by is not None:
        LogEntry.objects.log_actions(by.pk, [plan], CHANGE, what, single_object=True)
