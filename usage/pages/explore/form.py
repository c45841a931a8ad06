"""What the controls of Explore ask, all of it from the address."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from django import forms

from plans import entitlements
from plans.codes import Code
from usage.models import LogStatus
from usage.pages.explore import ranges, shown
from usage.pages.explore.ranges import Range
from usage.pages.explore.shown import Measure
from usage.pages.viewer import Viewer

_DEFAULTS = {"measure": "tokens", "group_by": "feature", "range": "30d", "step": "auto", "compare": "yes", "page": "1"}
FILTERS = ("feature", "task", "model_class", "status", "user", "code")
_CONTROLS = ("measure", "group_by", "range", "first", "last", "step", "compare")
_LONGEST = "At most {most} days can be shown{how}."


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A question that makes sense: what to show, split by what, when, and of which rows."""

    measure: Measure
    group_by: str
    range: Range
    step: str
    compares: bool
    filters: Mapping[str, str]
    page: int


class ExploreForm(forms.Form):
    """The controls. What is left out, or empty, stands at its default."""

    measure = forms.ChoiceField(label="Show", choices=[(code, each.name) for code, each in shown.MEASURES.items()])
    group_by = forms.ChoiceField(label="Split by")
    range = forms.ChoiceField(label="Time", choices=list(ranges.PRESETS.items()))
    first = forms.DateField(label="From", required=False)
    last = forms.DateField(label="To, included", required=False)
    step = forms.ChoiceField(label="Step", choices=[("auto", "Automatic"), ("day", "Days"), ("hour", "Hours")])
    compare = forms.ChoiceField(label="Compare with", choices=[("yes", "Time before"), ("no", "Nothing")])
    feature = forms.ChoiceField(required=False)
    task = forms.ChoiceField(required=False)
    model_class = forms.ChoiceField(label="Model class", required=False)
    status = forms.ChoiceField(required=False)
    user = forms.CharField(label="Person, by id", required=False, max_length=128, strip=False)
    code = forms.ChoiceField(label="Reason of refusal", required=False)
    page = forms.IntegerField(label="Page", min_value=1, max_value=10**6)

    def __init__(self, sent: Mapping[str, str], viewer: Viewer) -> None:
        super().__init__(_DEFAULTS | {name: value for name, value in sent.items() if value}, label_suffix="")
        self._viewer = viewer
        catalogue = entitlements.catalogue()
        for field in self.fields.values():
            field.error_messages["invalid_choice"] = "“%(value)s” is not known here: choose one of these."
        self._choose(
            "group_by", ((code, name) for code, name in shown.GROUPS.items() if code != "user" or self.sees_all)
        )
        self._offer("feature", ((each.code, each.name) for each in catalogue.features.values()))
        self._offer("task", ((each.code, each.name) for each in catalogue.tasks.values()))
        self._offer("model_class", ((each.code, each.name) for each in catalogue.classes.values()))
        self._offer("status", LogStatus.choices)
        self._offer("code", ((code.value, shown.reason(code)) for code in Code if code is not Code.OK))
        for name in ("first", "last"):
            field = self.fields[name]
            field.widget = forms.DateInput(format="%Y-%m-%d", attrs={"type": "date"})
            field.error_messages["invalid"] = "A day such as 2026-11-24."
        if not self.sees_all:
            del self.fields["user"]

    @property
    def sees_all(self) -> bool:
        """Whether it is about everybody's usage, so that it can be split by person."""
        return self._viewer.sight.user is None

    def groups_of(self, measure: Measure) -> tuple[str, ...]:
        """What a measure can be split by for who looks."""
        return tuple(code for code in shown.groups_of(measure) if code != "user" or self.sees_all)

    def asked(self) -> Asked:
        """The question of a form that is valid."""
        found = self.cleaned_data
        step = found["step"]
        if step == "auto":
            step = "hour" if found["range"].days <= 2 else "day"
        return Asked(
            measure=self._measure(), group_by=found["group_by"], range=found["range"], step=step,
            compares=found["compare"] == "yes", filters=_chosen(found), page=found["page"],
        )  # fmt: skip

    def _measure(self) -> Measure:
        found, catalogue = self.cleaned_data, entitlements.catalogue()
        if found["measure"] != "units":
            return shown.MEASURES[found["measure"]]
        feature = found["feature"] or catalogue.tasks[found["task"]].feature
        return shown.in_units(catalogue.features[feature].unit)

    def laid_out(self) -> dict[str, Any]:
        """The fields for the page, in their order: of the filters those that mean something, or are wrong."""
        measure = shown.MEASURES.get(self["measure"].value())
        possible = shown.groups_of(measure) if measure else FILTERS
        filters = [
            self[name]
            for name in FILTERS
            if name in self.fields and (name in possible or name in self.errors or self[name].value())
        ]
        return {
            "controls": [self[name] for name in _CONTROLS],
            "filters": filters,
            "filters_open": any(field.errors for field in filters),
            "page_errors": self["page"].errors,
        }

    def clean(self) -> dict[str, Any]:
        super().clean()
        self._check_range()
        self._check_measure()
        self._check_task()
        return self.cleaned_data

    def _choose(self, name: str, choices: Iterable[tuple[str, str]]) -> None:
        field = self.fields[name]
        assert isinstance(field, forms.ChoiceField)  # noqa: S101 - for the type checker
        field.choices = list(choices)

    def _offer(self, name: str, choices: Iterable[tuple[str, str]]) -> None:
        self._choose(name, [("", "All"), *choices])

    def _check_range(self) -> None:
        """Puts a Range in the place of the preset's name."""
        name = self.cleaned_data.get("range")
        if name is None:
            return
        calendar, now = self._viewer.calendar, self._viewer.now
        if name != "custom":
            self.cleaned_data["range"] = ranges.preset(name, calendar, now)
        elif days := self._days():
            self.cleaned_data["range"] = ranges.custom(*days, calendar, now)
        else:
            return
        if self.cleaned_data.get("step") == "hour" and self.cleaned_data["range"].days > ranges.MOST_DAYS_BY_HOUR:
            self.add_error("step", _LONGEST.format(most=ranges.MOST_DAYS_BY_HOUR, how=" by the hour"))

    def _days(self) -> tuple[date, date] | None:
        """The first and the last day; None where an error says what is wrong with them."""
        calendar, now = self._viewer.calendar, self._viewer.now
        first, last = self.cleaned_data.get("first"), self.cleaned_data.get("last")
        if "first" in self.errors or "last" in self.errors:
            return None
        if first is None or last is None:
            self.add_error("first" if first is None else "last", "Say which day, or choose another time than your own.")
            return None
        today, end = ranges.day_of(calendar, now), ranges.last_day(calendar, now)
        wrong = {
            "first": "That day is yet to come." if first > today
            else f"There is nothing from before {ranges.EARLIEST:%Y}." if first < ranges.EARLIEST else "",
            "last": "It must not come before the first day." if last < first
            else f"At most {end.isoformat()}, the end of the running period." if last > end
            else _LONGEST.format(most=ranges.MOST_DAYS, how="") if (last - first).days >= ranges.MOST_DAYS else "",
        }  # fmt: skip
        for field, message in wrong.items():
            if message:
                self.add_error(field, message)
                return None
        return first, last

    def _check_measure(self) -> None:
        """What a measure can not be split or filtered by is said where it was chosen."""
        code, group_by = self.cleaned_data.get("measure"), self.cleaned_data.get("group_by")
        if code is None:
            return
        measure = shown.MEASURES[code]
        possible = self.groups_of(measure)
        known = [name for each, name in shown.GROUPS.items() if each in possible]
        if group_by is not None and group_by not in possible:
            self.add_error("group_by", f"{measure.subject} can be split by: {', '.join(known).lower()}.")
        for name in _chosen(self.cleaned_data).keys() - set(possible):
            self.add_error(name, f"{measure.subject} cannot be filtered by it: choose “All”.")
        if code == "units" and not self.cleaned_data.get("feature") and not self.cleaned_data.get("task"):
            self.add_error("measure", "Each feature counts in units of its own: choose one feature as a filter.")

    def _check_task(self) -> None:
        feature, task = self.cleaned_data.get("feature"), self.cleaned_data.get("task")
        catalogue = entitlements.catalogue()
        if feature and task and catalogue.tasks[task].feature != feature:
            self.add_error("task", f"It belongs to {catalogue.features[catalogue.tasks[task].feature].name}.")


def _chosen(found: Mapping[str, Any]) -> dict[str, str]:
    return {name: found[name] for name in FILTERS if found.get(name)}
