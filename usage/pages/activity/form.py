"""What to list: the filters of the activity page, and their parameters for the reads."""

from collections.abc import Iterable
from datetime import date, datetime, timedelta
from typing import Any

from django import forms
from django.http import QueryDict

from plans import entitlements, periods
from plans.charges import PeriodKind
from plans.codes import Code
from usage.models import LogStatus
from usage.pages.viewer import Viewer

OPERATIONS, REFUSALS = "operations", "refusals"
_ANY = ("", "Any")
# Wherever it begins: the reads know no instant before 1971.
_FIRST, _LAST = date(1971, 1, 2), date(9998, 12, 30)


class ActivityForm(forms.Form):
    """The filters, all of them optional. Dates are days of the tenant, both of them included."""

    show = forms.ChoiceField(choices=[(OPERATIONS, "Calls"), (REFUSALS, "Refusals")], required=False)
    since = forms.DateField(label="From", required=False, widget=forms.DateInput(attrs={"type": "date"}))
    until = forms.DateField(label="To", required=False, widget=forms.DateInput(attrs={"type": "date"}))
    user = forms.CharField(max_length=128, required=False, strip=False)
    feature = forms.ChoiceField(required=False)
    task = forms.ChoiceField(required=False)
    model_class = forms.ChoiceField(required=False)
    status = forms.ChoiceField(required=False, choices=[_ANY, *LogStatus.choices])
    code = forms.ChoiceField(
        label="Reason",
        required=False,
        choices=[_ANY, *((code.value, code.value) for code in Code if code is not Code.OK)],
    )

    def __init__(self, sent: QueryDict, viewer: Viewer) -> None:
        super().__init__(sent)
        self._viewer = viewer
        catalogue = entitlements.catalogue()
        self._choose("feature", ((each.code, each.name) for each in catalogue.features.values()))
        self._choose("task", ((each.code, each.name) for each in catalogue.tasks.values()))
        self._choose("model_class", ((code, each.name) for code, each in catalogue.classes.items()))
        left_out = ["model_class", "status"] if self.is_of_refusals else ["code"]
        if viewer.sight.user is not None:
            left_out.append("user")
        for name in left_out:
            del self.fields[name]

    def _choose(self, name: str, choices: Iterable[tuple[str, str]]) -> None:
        field = self.fields[name]
        assert isinstance(field, forms.ChoiceField)  # noqa: S101 - declared above
        field.choices = [_ANY, *choices]

    @property
    def is_of_refusals(self) -> bool:
        """Whether it lists refusals, and not calls."""
        return self.data.get("show") == REFUSALS

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        since, until = cleaned.get("since"), cleaned.get("until")
        for name in ("since", "until"):
            if cleaned.get(name) and not _FIRST <= cleaned[name] <= _LAST:
                self.add_error(name, f"A day between {_FIRST.year} and {_LAST.year}.")
        if since and until and since > until:
            self.add_error("until", "It must not come before the first day.")
        return cleaned

    def parameters(self) -> QueryDict:
        """What was chosen as parameters of `LogFilter` or `DenialFilter`. Of a valid form alone."""
        found = QueryDict(mutable=True)
        for name in self.fields:
            if name not in ("show", "since", "until") and self.cleaned_data[name]:
                found[name] = self.cleaned_data[name]
        prefix = "at" if self.is_of_refusals else "occurred_at"
        if self.cleaned_data["since"]:
            found[f"{prefix}_after"] = self._begins(self.cleaned_data["since"]).isoformat()
        if self.cleaned_data["until"]:
            found[f"{prefix}_before"] = self._begins(self.cleaned_data["until"] + timedelta(days=1)).isoformat()
        return found

    def _begins(self, day: date) -> datetime:
        noon = datetime(day.year, day.month, day.day, 12, tzinfo=self._viewer.zone)
        return periods.period(PeriodKind.DAY, self._viewer.calendar, noon).start
