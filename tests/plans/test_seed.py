"""`manage.py seed`: what a new installation sells, and whose word counts afterwards."""

from io import StringIO
from pathlib import Path

import msgspec
import pytest
from django.core.management import CommandError, call_command

from plans import catalogue, promises
from plans.catalogue import Outcome, Written
from plans.models import (
    Feature,
    LLMModel,
    ModelClass,
    ModelPrice,
    OnFailure,
    Plan,
    PlanFeature,
    PlanLLMAccess,
    PlanStatus,
    PriceUnit,
    Provider,
    RuleKey,
    Task,
    TaskKind,
    Unit,
)
from tests import cast

pytestmark = pytest.mark.django_db

ALL = ["BASE_S", "BASE_M", "PRO_M", "PRO_L", "ADVANCED"]
NANO = 10**9


def outcomes(*, reset: bool = False) -> dict[str, Outcome]:
    heard: list[Written] = []
    catalogue.seed(catalogue.read(), reset=reset, tell=heard.append)
    return {entry.name: entry.outcome for entry in heard if entry.outcome is not Outcome.KEPT}


def quotas(plan: str) -> dict[str, tuple[int | None, int | None]]:
    rows = PlanFeature.objects.filter(plan=cast.plan(plan), enabled=True)
    return {row.feature_id: (row.monthly_quota, row.daily_quota) for row in rows}


def caps(plan: str, key: RuleKey) -> dict[str | None, int | None]:
    return {rule.task_id: rule.value for rule in cast.plan(plan).policy_rules.filter(key=key)}


def defaults(plan: str) -> dict[str, str | None]:
    return dict(cast.plan(plan).accesses.filter(task__kind=TaskKind.LLM).values_list("task", "default_class"))


def test_plans_have_the_quotas_they_are_sold_with() -> None:
    assert quotas("FREE") == {"PATENT_DRAFTING": (100_000, 20_000), "PRIOR_ART_SEARCH": (50, 10)}
    assert quotas("PRO") == {
        "PATENT_DRAFTING": (5_000_000, 500_000),
        "PRIOR_ART_SEARCH": (1_000, 100),
        "DIAGRAM_GENERATION": (200, 40),
    }
    assert quotas("ENTERPRISE") == {
        "PATENT_DRAFTING": (100_000_000, 10_000_000),
        "PRIOR_ART_SEARCH": (10_000, 1_000),
        "DIAGRAM_GENERATION": (5_000, 500),
        "EMBEDDINGS": (None, None),
        "RERANK": (None, None),
    }


def test_money_is_converted_exactly() -> None:
    budgets = dict(Plan.objects.values_list("code", "monthly_budget_nano_usd"))
    assert budgets == {"FREE": None, "PRO": 50 * NANO, "ENTERPRISE": 2_000 * NANO}
    assert dict(Task.objects.filter(kind="API").values_list("code", "price_per_unit_nano_usd")) == {
        "PATENT_OPEN": 5_000_000, "NPL_OPEN": 10_000_000, "WEB_META": 1_000_000, "EMBED": 20,
        "RERANK_CALL": 2_000_000,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("plan", "classes", "calls", "tokens_in", "tokens_out"),
    [("FREE", ALL[:1], 1, 8_000, 2_000), ("PRO", ALL[:4], 3, 32_000, 8_000), ("ENTERPRISE", ALL, 20, 128_000, 16_000)],
)
def test_plans_have_their_classes_and_caps(
    plan: str, classes: list[str], calls: int, tokens_in: int, tokens_out: int
) -> None:
    for access in PlanLLMAccess.objects.filter(plan__code=plan, task__kind=TaskKind.LLM):
        assert [row.code for row in access.allowed_classes.order_by("rank")] == classes
    assert caps(plan, RuleKey.CONCURRENCY_LIMIT) == {None: calls}
    assert caps(plan, RuleKey.MAX_TOKENS_IN)[None] == tokens_in
    assert caps(plan, RuleKey.MAX_TOKENS_OUT)[None] == tokens_out


@pytest.mark.parametrize("plan", ["FREE", "PRO", "ENTERPRISE"])
def test_tasks_are_allocated_their_share_of_the_plans_tokens(plan: str) -> None:
    tokens_in, tokens_out = caps(plan, RuleKey.MAX_TOKENS_IN), caps(plan, RuleKey.MAX_TOKENS_OUT)
    whole_in, whole_out = tokens_in.pop(None) or 0, tokens_out.pop(None) or 0
    shares_in = {"LLM1_PRIOR_ART": whole_in * 2, "LLM3_DIAGRAM": whole_in // 4}
    shares_out = {"LLM1_PRIOR_ART": whole_out // 2, "LLM3_DIAGRAM": whole_out // 4}
    if plan == "FREE":
        del shares_in["LLM3_DIAGRAM"], shares_out["LLM3_DIAGRAM"]
    assert (tokens_in, tokens_out) == (shares_in, shares_out)


def test_tasks_default_to_the_class_they_are_sold_with() -> None:
    assert set(defaults("FREE").values()) == {"BASE_S"}
    assert defaults("PRO") == {
        "LLM1_PRIOR_ART": "PRO_M", "LLM2_DRAFT": "PRO_L", "LLM3_DIAGRAM": "PRO_M",
        "LLM4_NOVELTY_SCREEN": "PRO_M", "LLM5_NOVELTY_ASSESS": "PRO_M",
    }  # fmt: skip
    assert defaults("ENTERPRISE") == {
        "LLM1_PRIOR_ART": "ADVANCED", "LLM2_DRAFT": "PRO_L", "LLM3_DIAGRAM": "PRO_M",
        "LLM4_NOVELTY_SCREEN": "ADVANCED", "LLM5_NOVELTY_ASSESS": "ADVANCED",
    }  # fmt: skip


def test_free_has_neither_web_pages_nor_diagrams_and_only_enterprise_embeds() -> None:
    def holders(task: str) -> set[str]:
        return set(Plan.objects.filter(accesses__task=task).values_list("code", flat=True))

    assert holders("WEB_META") == holders("LLM3_DIAGRAM") == {"PRO", "ENTERPRISE"}
    assert holders("EMBED") == holders("RERANK_CALL") == {"ENTERPRISE"}
    assert holders("PATENT_OPEN") == {"FREE", "PRO", "ENTERPRISE"}


def test_every_task_of_a_plan_has_its_feature_there() -> None:
    for access in PlanLLMAccess.objects.select_related("task"):
        assert PlanFeature.objects.filter(plan=access.plan_id, feature=access.task.feature_id).exists()


def test_every_class_has_active_models_priced_for_input_and_output() -> None:
    """Defect 39: a price that is unknown must not happen by oversight."""
    for model_class in ModelClass.objects.all():
        models = model_class.models.filter(is_active=True)
        assert models.count() >= 2
        for model in models:
            units = set(model.prices.filter(above_input_tokens=0).values_list("unit", flat=True))
            assert {PriceUnit.INPUT, PriceUnit.OUTPUT} <= units


def test_the_file_and_the_migration_agree_on_names() -> None:
    content = catalogue.read()
    assert outcomes(reset=True) == {}
    assert set(Feature.objects.values_list("code", flat=True)) == set(content.features)
    assert set(Task.objects.values_list("code", flat=True)) == set(content.tasks)


def test_seeding_again_changes_nothing() -> None:
    def stored() -> list[object]:
        tables = (Feature, Task, ModelClass, Provider, LLMModel, ModelPrice, Plan, PlanFeature, PlanLLMAccess)
        return [list(model._default_manager.order_by("pk").values()) for model in tables]

    before = stored()
    assert outcomes() == {}
    assert stored() == before


def edit_everything() -> None:
    Feature.objects.filter(code="RERANK").update(name="Sorting", on_failure=OnFailure.OPEN)
    Task.objects.filter(code="EMBED").update(price_per_unit_nano_usd=None)
    ModelClass.objects.filter(code="BASE_S").update(is_fallback=False)
    ModelClass.objects.filter(code="BASE_M").update(is_fallback=True)
    ModelClass.objects.filter(code="PRO_M").update(rank=60)
    LLMModel.objects.filter(model_id="gpt-4o").update(is_active=False)
    ModelPrice.objects.filter(model__model_id="gpt-4o").delete()
    Plan.objects.filter(code="FREE").update(name="Starter")


def test_an_operators_edits_are_kept() -> None:
    edit_everything()
    assert outcomes() == {}
    assert Feature.objects.get(code="RERANK").name == "Sorting"
    assert Task.objects.get(code="EMBED").price_per_unit_nano_usd is None
    assert not ModelPrice.objects.filter(model__model_id="gpt-4o").exists()
    assert cast.plan("FREE").name == "Starter"


def test_a_reset_puts_the_files_values_back() -> None:
    edit_everything()
    assert outcomes(reset=True) == dict.fromkeys(
        ["RERANK", "EMBED", "BASE_S", "BASE_M", "PRO_M", "gpt-4o", "FREE"], Outcome.RESET
    )
    assert ModelClass.objects.get(is_fallback=True).code == "BASE_S"
    assert list(ModelClass.objects.values_list("code", flat=True)) == ALL
    assert outcomes(reset=True) == {}


def test_a_missing_row_is_made() -> None:
    ModelPrice.objects.filter(model__model_id="gpt-4o").delete()
    LLMModel.objects.filter(model_id="gpt-4o").delete()
    assert outcomes() == {"gpt-4o": Outcome.MADE}
    assert ModelPrice.objects.filter(model__model_id="gpt-4o").exists()


def test_a_reset_makes_a_new_revision_of_a_plan_that_differs(draft: Plan, acme: cast.Company) -> None:
    """Defect 33: a live plan is never edited in place."""
    sold = cast.plan("PRO")
    draft.features.filter(feature="DIAGRAM_GENERATION").update(monthly_quota=7)
    sold.status, draft.status = PlanStatus.DEPRECATED, PlanStatus.ACTIVE
    sold.save(update_fields=["status"])
    draft.save(update_fields=["status"])
    assert outcomes() == {}
    assert outcomes(reset=True) == {"PRO": Outcome.RESET}
    renewed = cast.plan("PRO")
    assert (renewed.revision, renewed.based_on) == (3, draft)
    assert promises.of(renewed) == promises.of(sold)
    acme.root.refresh_from_db()
    assert acme.root.plan == sold


def test_a_row_whose_meaning_differs_stops_the_seed() -> None:
    content = msgspec.structs.replace(
        catalogue.read(), features={"RERANK": catalogue.FeatureEntry(name="Rerank", unit=Unit.TOKENS)}
    )
    with pytest.raises(catalogue.CatalogueError, match="RERANK has unit REQUESTS, the file TOKENS"):
        catalogue.seed(content)


def test_a_code_that_the_catalogue_does_not_know_is_refused_with_its_place(tmp_path: Path) -> None:
    wrong = tmp_path / "seed.yaml"
    wrong.write_text(catalogue.SEED.read_text().replace("default_class: PRO_L", "default_class: PRO_XL", 1))
    with pytest.raises(catalogue.CatalogueError, match=r"PRO_XL.*plans"):
        catalogue.read(wrong)


def test_the_command_says_what_it_made_and_kept() -> None:
    LLMModel.objects.filter(model_id="gpt-4o").delete()
    out = StringIO()
    call_command("seed", stdout=out)
    lines = [line.split() for line in out.getvalue().splitlines()]
    assert lines[0] == ["made", "kept", "reset"]
    assert ["model", "1", "13", "0"] in lines
    assert ["plan", "0", "3", "0"] in lines


def test_the_command_writes_nothing_after_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    wrong = tmp_path / "seed.yaml"
    wrong.write_text(
        catalogue.SEED.read_text().replace("model_id: gpt-4o", "model_id: gpt-0").replace("name: Rerank,", "name: X,")
    )
    content = catalogue.read(wrong)
    monkeypatch.setattr(catalogue, "read", lambda: content)
    with pytest.raises(CommandError, match=r"Nothing was written\. openai lists no model gpt-0"):
        call_command("seed", reset=True)
    assert not Feature.objects.filter(name="X").exists()
