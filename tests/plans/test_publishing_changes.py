"""What a draft changes, read as paths with words before and after; and edits that are written by the same paths."""

from dataclasses import replace

import pytest

from plans import promises, publishing
from plans.models import Plan, RuleKey
from plans.promises import Promises, RulePromise
from plans.publishing import changes, edits
from plans.publishing.edits import EditRefused
from tests import cast

pytestmark = pytest.mark.django_db


@pytest.fixture
def pro(db: None) -> Promises:
    return promises.of(cast.plan("PRO"))


def edited(promised: Promises, *written: str) -> Promises:
    return edits.edited(promised, written, edits.vocabulary())


def told(before: Promises | None, after: Promises) -> list[str]:
    return [str(change) for change in changes.between(before, after, changes.words())]


EDITS = {
    "max_seats=30": "max_seats: 25 → 30",
    "max_seats=unlimited": "max_seats: 25 → unlimited",
    "monthly_budget=62.5": "monthly_budget: USD 50.00 → USD 62.50",
    "monthly_budget=USD 1,000": "monthly_budget: USD 50.00 → USD 1,000.00",
    "monthly_budget=0": "monthly_budget: USD 50.00 → USD 0.00",
    "monthly_budget=unlimited": "monthly_budget: USD 50.00 → unlimited",
    "PATENT_DRAFTING.daily_quota=400_000": "PATENT_DRAFTING.daily_quota: 500,000 tokens → 400,000 tokens",
    "PRIOR_ART_SEARCH.daily_quota=0": "PRIOR_ART_SEARCH.daily_quota: 100 API calls → 0 API calls",
    "PRIOR_ART_SEARCH.daily_token_limit=9,000": "PRIOR_ART_SEARCH.daily_token_limit: unlimited → 9,000 tokens",
    "DIAGRAM_GENERATION.monthly_quota=unlimited": "DIAGRAM_GENERATION.monthly_quota: 200 requests → unlimited",
    "PATENT_DRAFTING.overage=ALLOW": "PATENT_DRAFTING.overage: BLOCK → ALLOW",
    "PATENT_DRAFTING.enabled=no": "PATENT_DRAFTING.enabled: yes → no",
    "LLM2_DRAFT.classes=PRO_L, BASE_S": "LLM2_DRAFT.classes: BASE_S, BASE_M, PRO_M, PRO_L → BASE_S, PRO_L",
    "LLM2_DRAFT.default_class=BASE_M": "LLM2_DRAFT.default_class: PRO_L → BASE_M",
    "LLM2_DRAFT.default_class=none": "LLM2_DRAFT.default_class: PRO_L → none",
    "LLM2_DRAFT.allow_downgrade=no": "LLM2_DRAFT.allow_downgrade: yes → no",
    "PATENT_OPEN=no": "PATENT_OPEN: yes → –",
    "MAX_TOKENS_OUT=4000": "MAX_TOKENS_OUT: 8,000 tokens → 4,000 tokens",
    "MAX_TOKENS_OUT@LLM2_DRAFT=4000": "MAX_TOKENS_OUT@LLM2_DRAFT: – → 4,000 tokens",
    "MAX_TOKENS_OUT@LLM1_PRIOR_ART=none": "MAX_TOKENS_OUT@LLM1_PRIOR_ART: 4,000 tokens → –",
    "CONCURRENCY_LIMIT=unlimited": "CONCURRENCY_LIMIT: 3 → unlimited",
    "DAILY_BUDGET=2.5": "DAILY_BUDGET: – → USD 2.50",
    "USER_DAILY_QUOTA@PRIOR_ART_SEARCH=20": "USER_DAILY_QUOTA@PRIOR_ART_SEARCH: – → 20 API calls",
    "DAILY_QUOTA@PATENT_OPEN=20": "DAILY_QUOTA@PATENT_OPEN: – → 20 API calls",
    "DEGRADE_AT_PERCENT=80": "DEGRADE_AT_PERCENT: – → 80 %",
    "DEGRADE_AT_PERCENT=never": "DEGRADE_AT_PERCENT: – → never",
    "HOLD_PERCENTILE=95": "HOLD_PERCENTILE: – → 95",
}


@pytest.mark.parametrize("written", EDITS)
def test_an_edit_changes_what_it_names_and_reads_back(written: str, pro: Promises) -> None:
    after = edited(pro, written)
    assert told(pro, after) == [EDITS[written]]
    what, _, values = EDITS[written].partition(": ")
    was, is_now = values.split(" → ")
    assert told(after, pro) == [f"{what}: {is_now} → {was}"]


def test_several_edits_are_made_in_their_order(pro: Promises) -> None:
    after = edited(
        pro, "RERANK=yes", "RERANK.daily_quota=5", "RERANK_CALL=yes", "LLM2_DRAFT.classes=ADVANCED",
        "LLM2_DRAFT.default_class=ADVANCED", "RERANK.daily_quota=6",
    )  # fmt: skip
    assert told(pro, after) == [
        "LLM2_DRAFT.classes: BASE_S, BASE_M, PRO_M, PRO_L → ADVANCED",
        "LLM2_DRAFT.default_class: PRO_L → ADVANCED",
        "RERANK: – → yes",
        "RERANK.daily_quota: – → 6 requests",
        "RERANK.daily_token_limit: – → unlimited",
        "RERANK.enabled: – → yes",
        "RERANK.monthly_quota: – → unlimited",
        "RERANK.monthly_token_limit: – → unlimited",
        "RERANK.overage: – → BLOCK",
        "RERANK_CALL: – → yes",
    ]


def test_money_that_a_percentile_may_hold_is_said_and_kept_by_an_edit(pro: Promises) -> None:
    rule = RulePromise(RuleKey.HOLD_PERCENTILE, 95, includes_money=True)
    before = replace(pro, rules=pro.rules | {rule})
    assert told(pro, before) == ["HOLD_PERCENTILE: – → 95 (budgets too)"]
    assert told(before, edited(before, "HOLD_PERCENTILE=99")) == [
        "HOLD_PERCENTILE: 95 (budgets too) → 99 (budgets too)"
    ]


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("daily_quota", "daily_quota: write it as PATH=VALUE"),
        ("PATENT.daily=5", "PATENT.daily: there is no PATENT in a plan. Known are max_seats, monthly_budget, the"),
        ("PATENT.daily_quota=5", "PATENT is no feature. Known are DIAGRAM_GENERATION, EMBEDDINGS, PATENT_DRAFTING"),
        ("MAX_TOKENS=5", "the caps and gates AGENT_MAX_STEPS, CONCURRENCY_LIMIT"),
        ("PATENT_DRAFTING.quota=5", "there is no quota. Known are daily_quota, monthly_quota"),
        ("LLM2_DRAFT.class=BASE_S", "there is no class. Known are classes, default_class, allow_downgrade."),
        ("RERANK.daily_quota=5", "RERANK is not in the plan; put RERANK=yes before it."),
        ("PATENT_OPEN.classes=BASE_S", "PATENT_OPEN is an API task, which has no model classes."),
        ("PATENT_DRAFTING.daily_quota=-1", "PATENT_DRAFTING.daily_quota: -1 is no whole number from 0 to 1,000"),
        ("PATENT_DRAFTING.daily_quota=1.5", "1.5 is no whole number"),
        ("PATENT_DRAFTING.daily_quota=", "nothing is no whole number"),
        ("PATENT_DRAFTING.daily_quota=1000000000000000001", "is no whole number from 0 to 1,000,000,000,000,000,000"),
        ("max_seats=3000000000", "max_seats: 3000000000 is no whole number from 0 to 2,147,483,647"),
        ("monthly_budget=-5", "monthly_budget: "),
        ("monthly_budget=much", "monthly_budget: 'much' is not an amount in USD"),
        ("monthly_budget=0.0000000001", "at most 9 decimals"),
        ("PATENT_DRAFTING=maybe", "PATENT_DRAFTING: yes or no, not maybe."),
        ("PATENT_DRAFTING.overage=SOME", "PATENT_DRAFTING.overage: BLOCK or ALLOW, not SOME."),
        ("LLM2_DRAFT.classes=BASE_S,HUGE", "LLM2_DRAFT.classes: HUGE is not known. Known are ADVANCED, BASE_M"),
        ("LLM2_DRAFT.default_class=HUGE", "LLM2_DRAFT.default_class: one of ADVANCED, BASE_M"),
        ("LLM2_DRAFT.default_class=ADVANCED", "LLM2_DRAFT.default_class: ADVANCED is not among the allowed (BASE_M"),
        ("MAX_TOKENS_OUT@LLM9=5", "LLM9 is neither a task nor a feature. Known are DIAGRAM_GENERATION"),
        ("DAILY_QUOTA=5", "write DAILY_QUOTA@TASK or DAILY_QUOTA@FEATURE"),
        ("HOLD_PERCENTILE=101", "HOLD_PERCENTILE: 101 is no whole number from 1 to 100"),
        ("HOLD_PERCENTILE=unlimited", "HOLD_PERCENTILE: a whole number from 1 to 100; it cannot be unlimited."),
        ("DEGRADE_AT_PERCENT=101", "DEGRADE_AT_PERCENT: 101 is no whole number from 0 to 100"),
        ("RESERVATION_TTL_SECONDS=0", "RESERVATION_TTL_SECONDS: 0 is no whole number from 1 to 86,400"),
    ],
)
def test_an_edit_that_cannot_be_names_its_path_and_what_is_known(written: str, words: str, pro: Promises) -> None:
    with pytest.raises(EditRefused) as refused:
        edited(pro, written)
    assert str(refused.value).startswith(written.partition("=")[0])
    assert words in str(refused.value)


def test_edited_promises_are_what_a_draft_is_made_of(pro: Promises) -> None:
    after = edited(pro, "PATENT_DRAFTING.daily_quota=400000", "MAX_TOKENS_OUT@LLM2_DRAFT=4000")
    draft = publishing.draft("PRO", after)
    assert promises.of(draft) == after
    assert [change.what for change in publishing.diff(draft)] == [
        "PATENT_DRAFTING.daily_quota", "MAX_TOKENS_OUT@LLM2_DRAFT",
    ]  # fmt: skip


def test_the_first_revision_is_told_whole() -> None:
    plan = Plan.objects.create(code="TEAM", name="Team", max_seats=5, monthly_budget_nano_usd=0)
    assert [str(change) for change in publishing.diff(plan)] == [
        "max_seats: – → 5",
        "monthly_budget: – → USD 0.00",
    ]


def test_how_many_times_a_number_grew_or_shrank_is_known(pro: Promises) -> None:
    factors = {
        "max_seats=250": 10, "max_seats=2": 12, "max_seats=26": 1, "max_seats=0": None, "max_seats=unlimited": None,
        "monthly_budget=500": 10,
    }  # fmt: skip
    for written, factor in factors.items():
        (change,) = changes.between(pro, edited(pro, written), changes.words())
        assert change.factor == factor
