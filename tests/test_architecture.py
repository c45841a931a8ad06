"""What the layout promises, checked on the code itself."""

import re
from pathlib import Path

import pytest
from django.apps import apps
from django.contrib import admin
from django.db import models
from django.db.models import CheckConstraint, Model
from django.urls import URLPattern, URLResolver, get_resolver
from rest_framework.permissions import IsAuthenticated
from rest_framework.views import APIView

ROOT = Path(__file__).resolve().parent.parent
OURS = ("tenants", "plans", "usage", "alerts", "enforcement")
# Who may write the ledger's tables: the module with its SQL functions, and those that remove, mark or archive. An
# erasure changes no number, and writes every table that the database lists.
LEDGER_WRITERS = {
    "usage/ledger.py",
    "usage/pruning.py",
    "usage/audit.py",
    "usage/audit_queries.py",
    "usage/archive/queries.py",
    "usage/rollup_queries.py",  # how much of a refusal's count is rolled up, which the ledger never reads
    "usage/generated.py",  # usage that never happened, for measuring: by COPY, into a database of its own
}
LEDGER_TABLES = "usage_(usagemeter|usagereservation|usagelog|usageevent|denial)"


def our_models() -> list[type[Model]]:
    return [model for label in OURS for model in apps.get_app_config(label).get_models()]


def sources() -> list[Path]:
    return [path for app in OURS for path in (ROOT / app).rglob("*.py") if "migrations" not in path.parts]


@pytest.mark.parametrize("model", our_models(), ids=lambda model: model.__name__)
def test_every_model_has_a_sentence_and_is_in_the_console(model: type[Model]) -> None:
    assert (model.__doc__ or "").strip().endswith("."), "a docstring of its own"
    assert not (model.__doc__ or "").startswith(f"{model.__name__}("), "Django's own docstring is no sentence"
    is_inside_another = model.__name__ in {"ConfigVersion", "PlanLLMAccessClass"}
    assert is_inside_another or model in admin.site._registry


@pytest.mark.parametrize("model", our_models(), ids=lambda model: model.__name__)
def test_every_closed_set_and_constraint_is_named_and_held_by_the_database(model: type[Model]) -> None:
    prefix = f"{model._meta.label_lower.replace('.', '_')}_"
    names = [constraint.name for constraint in model._meta.constraints]
    assert all(name.startswith(prefix) for name in names), names
    checked = {name for name in names if name}
    # where a CHECK would cost the ledger too much: see `closed`
    triggers = getattr(model._meta, "triggers", [])
    checked |= {trigger.name for trigger in triggers if f"CONSTRAINT = '{trigger.name}'" in (trigger.func or "")}
    for field in model._meta.get_fields():
        if isinstance(field, models.CharField) and field.choices and model._meta.managed:
            assert f"{prefix}{field.name}" in checked, f"{field.name} has choices and no CHECK"
    assert all(isinstance(constraint.name, str) for constraint in model._meta.constraints)
    assert {c.name for c in model._meta.constraints if isinstance(c, CheckConstraint)} <= checked


def test_only_the_ledger_writes_its_tables() -> None:
    """One module writes a table; everybody else reads."""
    by_sql = re.compile(rf"(INSERT INTO|UPDATE|DELETE FROM)\s+{LEDGER_TABLES}", re.IGNORECASE)
    by_orm = re.compile(
        r"(UsageMeter|UsageReservation|UsageLog|UsageEvent|Denial)\.objects\.(create|bulk_create|update|get_or_create)"
    )
    for path in sources():
        name = path.relative_to(ROOT).as_posix()
        text = path.read_text()
        assert name in LEDGER_WRITERS or not by_sql.search(text), name
        assert not by_orm.search(text), name


def test_views_hold_no_orm() -> None:
    for path in [*ROOT.glob("*/views.py"), *ROOT.glob("*/reads.py"), *ROOT.glob("*/events.py")]:
        assert ".objects" not in path.read_text(), path.name


def test_no_import_hides_inside_a_function() -> None:
    """An import in a function dodges the staircase."""
    for path in sources():
        for number, line in enumerate(path.read_text().splitlines(), 1):
            inside = re.match(r"\s+(from|import) (tenants|plans|usage|alerts|enforcement|metering_site)", line)
            if inside:
                before = "\n".join(path.read_text().splitlines()[:number])
                assert before.rstrip().rsplit("\n", 2)[-2].startswith("if TYPE_CHECKING") or "ready(self)" in before


def endpoints(patterns: list[URLPattern | URLResolver], prefix: str = "") -> list[tuple[str, type[APIView]]]:
    found: list[tuple[str, type[APIView]]] = []
    for pattern in patterns:
        path = f"{prefix}{pattern.pattern}"
        if isinstance(pattern, URLResolver):
            found += endpoints(pattern.url_patterns, path)
        elif path.startswith("api/v1/"):
            found.append((path, pattern.callback.view_class))  # type: ignore[attr-defined]  # as_view() sets it
    return found


@pytest.mark.parametrize(("path", "view"), endpoints(get_resolver().url_patterns))
def test_every_endpoint_authenticates_and_names_its_scope(path: str, view: type[APIView]) -> None:
    assert IsAuthenticated in view.permission_classes, path
    assert getattr(view, "scope", None) is not None, path


def test_no_file_of_ours_is_a_wall() -> None:
    """House style asks at 300 lines which noun hides; 600 is where nobody reads any more."""
    for path in sources():
        assert len(path.read_text().splitlines()) <= 600, path
