"""The codes that code, seed and tests name, and a rule for everybody for each key.

Existing rows are left alone, so it may be applied again after it was undone. Undoing leaves the rows: they may
be in use, and the tables go with the schema.
"""

from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

FEATURES = [
    ("PATENT_DRAFTING", "Patent drafting", "TOKENS", "OPEN"),
    ("PRIOR_ART_SEARCH", "Prior-art search", "API_CALLS", "CLOSED"),
    ("DIAGRAM_GENERATION", "Diagram generation", "REQUESTS", "CLOSED"),
    ("EMBEDDINGS", "Embeddings", "TOKENS", "CLOSED"),
    ("RERANK", "Rerank", "REQUESTS", "CLOSED"),
]
TASKS = [
    ("LLM1_PRIOR_ART", "Prior-art analysis", "PRIOR_ART_SEARCH", "LLM"),
    ("LLM2_DRAFT", "Draft", "PATENT_DRAFTING", "LLM"),
    ("LLM3_DIAGRAM", "Diagram", "DIAGRAM_GENERATION", "LLM"),
    ("LLM4_NOVELTY_SCREEN", "Novelty screening", "PRIOR_ART_SEARCH", "LLM"),
    ("LLM5_NOVELTY_ASSESS", "Novelty assessment", "PRIOR_ART_SEARCH", "LLM"),
    ("PATENT_OPEN", "Open a patent", "PRIOR_ART_SEARCH", "API"),
    ("NPL_OPEN", "Open non-patent literature", "PRIOR_ART_SEARCH", "API"),
    ("WEB_META", "Web page metadata", "PRIOR_ART_SEARCH", "API"),
    ("EMBED", "Embed", "EMBEDDINGS", "API"),
    ("RERANK_CALL", "Rerank", "RERANK", "API"),
]
MODEL_CLASSES = [
    ("BASE_S", "Base S", 10, True),
    ("BASE_M", "Base M", 20, False),
    ("PRO_M", "Pro M", 30, False),
    ("PRO_L", "Pro L", 40, False),
    ("ADVANCED", "Advanced", 50, False),
]
DEFAULTS = {
    "MAX_TOKENS_IN": 8_000,
    "MAX_TOKENS_OUT": 2_000,
    "MIN_TOKENS_OUT": 256,
    "AGENT_MAX_STEPS": 10,
    "RETRIEVAL_TOP_K": 20,
    "FILES_PER_REQUEST": 10,
    "RESERVATION_TTL_SECONDS": 300,
    "DEGRADE_AT_PERCENT": None,
    "HOLD_PERCENTILE": 100,
    "CONCURRENCY_LIMIT": None,
    "REQUESTS_PER_MINUTE": None,
    "TOKENS_PER_MINUTE": None,
    "DAILY_QUOTA": None,
    "MONTHLY_QUOTA": None,
    "DAILY_TOKEN_LIMIT": None,
    "MONTHLY_TOKEN_LIMIT": None,
    "USER_DAILY_QUOTA": None,
    "USER_MONTHLY_QUOTA": None,
    "DAILY_BUDGET": None,
    "MONTHLY_BUDGET": None,
}


def add_rows(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    feature, task, model_class, rule = (
        apps.get_model("plans", name) for name in ("Feature", "Task", "ModelClass", "PolicyRule")
    )
    for code, name, unit, on_failure in FEATURES:
        feature.objects.get_or_create(code=code, defaults={"name": name, "unit": unit, "on_failure": on_failure})
    for code, name, feature_code, kind in TASKS:
        task.objects.get_or_create(code=code, defaults={"name": name, "feature_id": feature_code, "kind": kind})
    for code, name, rank, is_fallback in MODEL_CLASSES:
        model_class.objects.get_or_create(code=code, defaults={"name": name, "rank": rank, "is_fallback": is_fallback})
    for key, value in DEFAULTS.items():
        rule.objects.get_or_create(
            scope="GLOBAL",
            key=key,
            task=None,
            feature=None,
            plan=None,
            tenant=None,
            defaults={"value": value},
        )


class Migration(migrations.Migration):
    dependencies = [("plans", "0003_composite_keys")]

    operations = [migrations.RunPython(add_rows, migrations.RunPython.noop)]
