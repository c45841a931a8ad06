"""The check that the codes named in Python are rows of the database; `check --database default` runs it."""

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.core import checks
from django.core.checks import CheckMessage, Tags
from django.db import connections

from plans.models import Feature, FeatureCode, ModelClass, ModelClassCode, Task, TaskCode

_NAMED = {Feature: FeatureCode, Task: TaskCode, ModelClass: ModelClassCode}


@checks.register(Tags.database)
def codes_are_rows(
    app_configs: Sequence[AppConfig] | None = None,
    databases: Sequence[str] | None = None,
    **kwargs: Any,  # noqa: ANN401 - Django's signature
) -> list[CheckMessage]:
    """A warning for each vocabulary that lacks a row. `migrate`, which adds them, runs this first: no error."""
    missing: list[CheckMessage] = []
    for alias in databases or ():
        tables = connections[alias].introspection.table_names()
        for model, codes in _NAMED.items():
            if model._meta.db_table not in tables:
                continue
            rows = model._default_manager.using(alias).values_list("code", flat=True)
            if absent := sorted(set(codes.values) - set(rows)):
                missing.append(
                    checks.Warning(
                        f"{model._meta.verbose_name_plural} without a row: {', '.join(absent)}",
                        hint="Run `manage.py migrate`, which adds them.",
                        obj=model,
                        id="plans.W001",
                    )
                )
    return missing
