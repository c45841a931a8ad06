"""At which shares and amounts people are told: of every quota, and of single ones."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse

from alerts import rules
from alerts.models import AlertPolicy
from alerts.models.policy import MOST_AMOUNT, MOST_PERCENT
from alerts.pages.managing import ManagersPage
from alerts.rules import EVERY_QUOTA, Subject
from plans import entitlements, money
from plans.charges import Charge, Measure, PeriodKind
from plans.models import Unit
from tenants import figures
from usage import standings
from usage.pages.cards import UNITS
from usage.pages.viewer import Viewer

_MOST = 10
_PERIODS = {
    PeriodKind.DAY: "a day", PeriodKind.MONTH: "a period", PeriodKind.MINUTE: "a minute", PeriodKind.OPEN: "at once",
}  # fmt: skip
_UNITS = {
    Measure.UNITS: "units", Measure.REQUESTS: "requests", Measure.TOKENS: "tokens", Measure.COST: "USD",
    Measure.SLOTS: "calls",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A quota of the tenant for which thresholds can be set, as people read it; `unit` is what amounts are in."""

    subject: Subject
    label: str
    unit: str

    @property
    def key(self) -> str:
        """How a form names it."""
        return _key(self.subject.feature, self.subject.measure, self.subject.period)

    def amount(self, text: str) -> int:
        """What somebody typed, money in nano-USD. ValueError where it is no amount of it."""
        value = money.nano_usd(text) if self.subject.measure == Measure.COST else int(text)
        if not 0 < value <= MOST_AMOUNT:
            raise ValueError("out of range")
        return value

    def typed(self, value: int) -> str:
        """An amount as somebody would type it."""
        return money.usd(value) if self.subject.measure == Measure.COST else str(value)

    def shown(self, value: int) -> str:
        """An amount with its unit."""
        if self.subject.measure == Measure.COST:
            return f"USD {figures.usd(value)}"
        return f"{figures.number(value)} {self.unit}"


def _key(feature: str | None, measure: str | None, period: str | None) -> str:
    return f"{feature or ''};{measure or ''};{period or ''}"


def offers(viewer: Viewer) -> dict[str, Offer]:
    """The quotas of the tenant's plan by their keys; those of a task go with their feature's."""
    entitled = entitlements.of(viewer.tenant.id, viewer.now)
    found: dict[str, Offer] = {}
    for charge in standings.charged(entitled, standings.tasks_of(entitled), None).values():
        if charge.period == PeriodKind.MINUTE:  # over before anybody reads of it
            continue
        feature = entitled.catalogue.tasks[charge.task].feature if charge.task else charge.feature
        name = entitled.catalogue.features[feature].name if feature else None
        offer = Offer(
            subject=Subject(feature=feature, measure=charge.measure, period=charge.period),
            label=_label(name, charge),
            unit=UNITS[Unit(charge.unit)] if charge.unit else _UNITS[charge.measure],
        )
        found.setdefault(offer.key, offer)
    return found


def _label(feature: str | None, charge: Charge) -> str:
    what = UNITS[Unit(charge.unit)] if charge.unit else _UNITS[charge.measure]
    if charge.measure == Measure.COST:
        what = "spend"
    said = f"{what} {_PERIODS[charge.period]}"
    if feature:
        return f"{feature}: {said}"
    return f"{said[0].upper()}{said[1:]}, altogether and of each feature"


def percents_of(text: str) -> list[int]:
    """The shares that somebody typed, each once, the smallest first. Raises ValidationError."""
    words = text.replace(",", " ").replace("%", " ").split()
    if not all(word.isascii() and word.isdecimal() and 1 <= int(word) <= MOST_PERCENT for word in words):
        raise forms.ValidationError(f"Whole numbers from 1 to {MOST_PERCENT:,}, separated by commas.")
    if len(words) > _MOST:
        raise forms.ValidationError(f"At most {_MOST} of them.")
    return sorted({int(word) for word in words})


class SharesForm(forms.Form):
    """At which shares of its limit a quota's people are told."""

    percents = forms.CharField(
        label="Tell at these shares of a limit, in percent", required=False, max_length=100,
        help_text="Such as 50, 80, 95, 100. Empty = tell of none.",
    )  # fmt: skip

    def clean_percents(self) -> list[int]:
        """The numbers."""
        return percents_of(self.cleaned_data["percents"])


class QuotaForm(SharesForm):
    """Thresholds of one quota, in place of those of every quota."""

    quota = forms.ChoiceField(label="Quota")
    amounts = forms.CharField(
        label="Tell at these amounts, whatever the limit", required=False, max_length=200,
        help_text="In what the quota counts, money in USD; with spaces between them, such as 25 or 1000000 5000000.",
    )  # fmt: skip
    field_order = ("quota", "percents", "amounts")

    def __init__(self, offered: Mapping[str, Offer], *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - a form's
        super().__init__(*args, **kwargs)
        self.offered = offered
        quota = self.fields["quota"]
        assert isinstance(quota, forms.ChoiceField)  # noqa: S101 - declared above
        quota.choices = [(key, offer.label) for key, offer in offered.items()]

    def clean_amounts(self) -> list[int]:
        """The amounts, each once, the smallest first, money in nano-USD."""
        offer = self.offered.get(self.cleaned_data.get("quota", ""))
        words = [word for word in re.split(r"[;\s]+|,\s+", self.cleaned_data["amounts"]) if word]
        if offer is None:
            return []
        if any("," in word for word in words):
            raise forms.ValidationError("Put spaces between amounts, and no commas into them: 1000000.")
        if len(words) > _MOST:
            raise forms.ValidationError(f"At most {_MOST} of them.")
        try:
            return sorted({offer.amount(word) for word in words})
        except ValueError:
            raise forms.ValidationError(f"Amounts above 0, in {offer.unit}.") from None


class ThresholdsPage(ManagersPage):
    """Sets the thresholds of every quota, or of one."""

    def get(self, request: HttpRequest) -> HttpResponse:
        return self._page()

    def post(self, request: HttpRequest) -> HttpResponse:
        form: SharesForm
        subject, amounts = EVERY_QUOTA, []
        if "quota" in request.POST:
            form = QuotaForm(offers(self.viewer), request.POST)
            if not form.is_valid():
                return self._page(closer=form, status=422)
            subject, amounts = form.offered[form.cleaned_data["quota"]].subject, form.cleaned_data["amounts"]
        else:
            form = SharesForm(request.POST)
            if not form.is_valid():
                return self._page(every=form, status=422)
        percents = form.cleaned_data["percents"]
        rules.put(self.viewer.tenant, subject, percents=percents, amounts=amounts, by=self.viewer.user)
        messages.success(request, "The thresholds are set.")
        return self.to("thresholds")

    def _page(
        self, *, every: SharesForm | None = None, closer: QuotaForm | None = None, status: int = 200
    ) -> HttpResponse:
        tenant, offered = self.viewer.tenant, offers(self.viewer)
        shares = ", ".join(str(each) for each in rules.shares(tenant))
        own = list(rules.of(tenant))
        chosen = self.request.GET.get("quota", "")
        rule = next((each for each in own if _key_of(each) == chosen), None)
        return self.show(
            "alerts/thresholds.html",
            status=status,
            every=every or SharesForm(initial={"percents": shares}),
            closer=closer or QuotaForm(offered, initial=_initial(rule, offered.get(chosen), shares)),
            rules=[_row(each, offered) for each in own if _key_of(each) != _key(None, None, None)],
            is_own=next((each for each in own if _key_of(each) == _key(None, None, None)), None),
        )


def _key_of(rule: AlertPolicy) -> str:
    return _key(rule.feature_id, rule.measure, rule.period)


def _initial(rule: AlertPolicy | None, offer: Offer | None, shares: str) -> dict[str, str]:
    if offer is None:
        return {"percents": shares}
    if rule is None:
        return {"quota": offer.key, "percents": shares}
    return {
        "quota": offer.key,
        "percents": ", ".join(str(each) for each in sorted(rule.percents)),
        "amounts": " ".join(offer.typed(each) for each in sorted(rule.amounts)),
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A rule about some quotas, as people read it; `offer` where it can be changed here."""

    rule: AlertPolicy
    label: str
    percents: Sequence[int]
    amounts: Sequence[str]
    offer: Offer | None


def _row(rule: AlertPolicy, offered: Mapping[str, Offer]) -> Row:
    offer = offered.get(_key_of(rule))
    named = offer or Offer(subject=_subject(rule), label=str(rule), unit="")
    return Row(
        rule=rule, label=named.label, percents=sorted(rule.percents), offer=offer,
        amounts=[named.shown(amount) for amount in sorted(rule.amounts)],
    )  # fmt: skip


def _subject(rule: AlertPolicy) -> Subject:
    if rule.measure is None or rule.period is None:
        return Subject(feature=rule.feature_id)
    return Subject(feature=rule.feature_id, measure=Measure(rule.measure), period=PeriodKind(rule.period))


class RuleRemoval(ManagersPage):
    """Takes a rule away; asked for by a form alone."""

    def post(self, request: HttpRequest, rule_id: UUID) -> HttpResponse:
        rule = rules.of(self.viewer.tenant).filter(pk=rule_id).first()
        if rule is None:
            raise Http404
        rules.remove(rule, by=self.viewer.user)
        messages.success(request, "The thresholds are gone: the more general ones hold.")
        return self.to("thresholds")
