"""The codes that Python names are the rows that a migration makes."""

import pytest
from django.core.management import call_command
from django.db import models
from pytest_django import DjangoAssertNumQueries

from plans import checks
from plans.models import Feature, FeatureCode, ModelClass, ModelClassCode, Task, TaskCode

pytestmark = pytest.mark.django_db


def test_every_named_code_has_its_row_with_its_name() -> None:
    assert dict(Feature.objects.values_list("code", "name")) == dict(FeatureCode.choices)
    assert dict(Task.objects.values_list("code", "name")) == dict(TaskCode.choices)
    assert dict(ModelClass.objects.values_list("code", "name")) == dict(ModelClassCode.choices)


def test_the_check_is_content_with_a_migrated_database() -> None:
    assert checks.codes_are_rows(databases=["default"]) == []


class Planned(models.TextChoices):
    """Codes of a release whose migration has not run yet."""

    RERANK = "RERANK", "Rerank"
    TRANSLATION = "TRANSLATION", "Translation"


def test_the_check_names_the_codes_without_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(checks._NAMED, Feature, Planned)
    warnings = checks.codes_are_rows(databases=["default"])
    assert [(warning.id, warning.obj) for warning in warnings] == [("plans.W001", Feature)]
    assert warnings[0].msg == "features without a row: TRANSLATION"


def test_the_check_leaves_the_database_alone_unless_asked(
    monkeypatch: pytest.MonkeyPatch, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    monkeypatch.setitem(checks._NAMED, Feature, Planned)
    with django_assert_num_queries(0):
        assert checks.codes_are_rows() == []


def test_further_codes_of_an_operator_are_welcome() -> None:
    Feature.objects.create(code="TRANSLATION", name="Translation", unit="TOKENS")
    assert checks.codes_are_rows(databases=["default"]) == []


def test_the_check_runs_with_the_database_checks(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("check", databases=["default"], tags=["database"])
    assert "no issues" in capsys.readouterr().out
