"""The console's home: what an operator should do something about."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.contrib.admin import site
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.text import capfirst

from alerts import queries
from plans import rollouts
from plans.models import LLMModel
from tenants.admin.figures import number
from tenants.models import EnforcementMode
from tenants.words import first_of
from usage import attention
from usage.attention import MOST

_DAYS = 7
_NAMED = 5
_SHORT = 99


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One thing to do something about: how many of what, what to do, and where to see them."""

    count: str
    what: str
    todo: str
    link: str


def home(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """What the home page shows beside the models."""
    return context | {"attention": lines(timezone.now())}


def sidebar(request: HttpRequest) -> list[dict[str, Any]]:
    """The console's pages by app, with how many alerts still hold and how many messages nobody got beside them."""
    return [
        {
            "title": app["name"],
            "items": [
                {"title": capfirst(model["name"]), "link": model["admin_url"]} | _badge(model["object_name"])
                for model in app["models"]
                if model["admin_url"]
            ],
        }
        for app in site.get_app_list(request)
    ]


def _badge(model: str) -> dict[str, str]:
    """What stands beside the name of a model; an empty one is not shown."""
    counts = {"QuotaAlert": open_alerts, "Delivery": messages_given_up}
    return {"badge": counts[model]()} if model in counts else {}


def open_alerts() -> str:
    """How many alerts that super admins were told of still hold; empty where none does."""
    return _short(queries.open_for_operators().count)


def messages_given_up() -> str:
    """How many messages of the last day nobody got; empty where there is none."""
    return _short(queries.given_up(timezone.now() - timedelta(days=1), _SHORT + 1))


def _short(count: int) -> str:
    return f"{_SHORT}+" if count > _SHORT else str(count or "")


def lines(now: datetime) -> list[Line]:
    """What there is to do, the most pressing first. Each is a short question to the database."""
    found = _alerts() + _given_up(now) + _gates(now)
    unpriced = [str(model) for model in LLMModel.objects.active().unpriced(now)]
    if unpriced:
        names = first_of(unpriced, _NAMED)
        todo = f"Under a budget their class is refused. Enter prices, or run manage.py prices update: {names}."
        link = f"{reverse('admin:plans_llmmodel_changelist')}?is_active__exact=1&priced=no"
        found.append(
            Line(
                count=number(len(unpriced)),
                what=f"{_of(len(unpriced), 'active model')} without a price",
                todo=todo,
                link=link,
            )
        )
    unsure = attention.unsure_calls(now - timedelta(days=_DAYS))
    if unsure.calls:
        models = f" Models they named: {first_of(unsure.models, _NAMED)}." if unsure.models else ""
        todo = (
            "No price, or no model or no counts were sent. Once prices are entered, manage.py reprice corrects those"
            f" that named a model.{models}"
        )
        link = f"{reverse('admin:usage_usagelog_changelist')}?when=7d&certainty__in={','.join(attention.UNSURE)}"
        what = f"{_of(unsure.calls, 'call')} of the last {_DAYS} days whose cost is not sure"
        found.append(Line(count=_bounded(unsure.calls), what=what, todo=todo, link=link))
    stray = attention.stray_rows()
    if stray:
        todo = "They count, but the partition of their month cannot be made until they are moved out."
        link = f"{reverse('admin:usage_usagelog_changelist')}?when=any"
        what = f"{_of(stray, 'row')} of the log in its default partition"
        found.append(Line(count=_bounded(stray), what=what, todo=todo, link=link))
    return found


def _alerts() -> list[Line]:
    """What was noticed and still holds, told to super admins; not what tenants are told of their own quotas."""
    found = queries.open_for_operators()
    if not found.count:
        return []
    link = f"{reverse('admin:alerts_quotaalert_changelist')}?when=any&state=open&told=operators"
    todo = f"Each says what to do, and goes once it is over: {first_of(found.kinds, _NAMED).lower()}."
    return [Line(count=_bounded(found.count), what=f"open {_of(found.count, 'alert')}", todo=todo, link=link)]


def _given_up(now: datetime) -> list[Line]:
    """What somebody was to be told, and was not."""
    count = queries.given_up(now - timedelta(days=_DAYS))
    if not count:
        return []
    link = f"{reverse('admin:alerts_delivery_changelist')}?when={_DAYS}d&state__exact=DEAD"
    todo = "See why, have that mended, and send again what still matters."
    what = f"{_of(count, 'message')} of the last {_DAYS} days that nobody got"
    return [Line(count=_bounded(count), what=what, todo=todo, link=link)]


def _gates(now: datetime) -> list[Line]:
    """What is not refused although a limit says so."""
    link = reverse("rollout")
    milder = [each for each in rollouts.standings(now) if each.mode != EnforcementMode.ENFORCE]
    if any(each.mode == EnforcementMode.OFF for each in milder):
        todo = "Nothing is checked, held or recorded, whatever is used. End the rule once that is no longer needed."
        return [Line(count="All", what="gates are off for everybody", todo=todo, link=link)]
    if not milder:
        return []
    names = first_of([each.gate.label.lower() for each in milder], _NAMED)
    todo = f"See what they would have refused, and enforce them once that is right: {names}."
    what = f"{_of(len(milder), 'gate')} observed, and not enforced, for everybody"
    return [Line(count=number(len(milder)), what=what, todo=todo, link=link)]


def _of(count: int, noun: str) -> str:
    return noun if count == 1 else f"{noun}s"


def _bounded(count: int) -> str:
    return f"{MOST:,} or more" if count >= MOST else number(count)
