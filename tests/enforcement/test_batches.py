"""The batch forms: in order, and each item by itself."""

from collections import Counter
from uuid import uuid4

from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.cast import Company
from tests.enforcement.api import Api, body_of
from tests.enforcement.rules import limit
from usage.models import Denial, UsageMeter, UsageReservation


def test_items_are_decided_in_order_against_running_sums(api: Api, acme: Company) -> None:
    limit(acme.tenant, "DAILY_QUOTA", 5, feature_id="PRIOR_ART_SEARCH")
    limit(acme.tenant, "CONCURRENCY_LIMIT", None)
    items = [
        body_of("ACME", "PATENT_OPEN", api_calls=calls) | {"idempotency_key": f"k{calls}"} for calls in (3, 4, 2, 1)
    ]
    results = api.post("/enforce/batch", {"items": items}).json()["results"]
    assert [each["index"] for each in results] == [0, 1, 2, 3]
    assert [each["body"]["code"] for each in results] == ["OK", "DAILY_QUOTA_EXCEEDED", "OK", "DAILY_QUOTA_EXCEEDED"]
    meter = UsageMeter.objects.get(tenant=acme.tenant, feature="PRIOR_ART_SEARCH", period="DAY", measure="UNITS")
    assert meter.reserved == 5


def test_an_item_fails_alone(api: Api, acme: Company, rival: Company) -> None:
    items = [
        body_of("ACME", "PATENT_OPEN") | {"idempotency_key": "a"},
        body_of("ACME", "PATENT_OPEN"),
        body_of("ACME", "NOPE") | {"idempotency_key": "b"},
        body_of("NOBODY", "PATENT_OPEN") | {"idempotency_key": "c"},
        {"idempotency_key": 5},
        body_of("RIVAL", "PATENT_OPEN") | {"idempotency_key": "d"},
        body_of("RIVAL", "EMBED", tokens_in=1) | {"idempotency_key": "e"},
        {"task": "PATENT_OPEN", "idempotency_key": "f"},
    ]
    results = api.post("/enforce/batch", {"items": items}).json()["results"]
    assert [each["status"] for each in results] == [200, 400, 422, 404, 422, 200, 200, 200]
    assert [each["body"]["code"] for each in results] == [
        "OK", "IDEMPOTENCY_KEY_MISSING", "INVALID", "NOT_FOUND", "INVALID", "OK", "FEATURE_UNAVAILABLE",
        "TENANT_UNRESOLVED",
    ]  # fmt: skip


def test_alike_refusals_are_recorded_together(api: Api, acme: Company) -> None:
    """Five hundred refusals are a few statements, with and without meters, and each is counted."""
    limit(acme.tenant, "DAILY_QUOTA", 0, feature_id="PRIOR_ART_SEARCH")
    tasks = [*["PATENT_OPEN"] * 250, *["EMBED"] * 250]
    items = [body_of("ACME", task, idempotency_key=str(uuid4())) for task in tasks]
    api.check("ACME", "PATENT_OPEN")
    with CaptureQueriesContext(connection) as made:
        answers = [each["body"] for each in api.post("/enforce/batch", {"items": items}).json()["results"]]
    assert [each["code"] for each in answers] == [*["DAILY_QUOTA_EXCEEDED"] * 250, *["FEATURE_UNAVAILABLE"] * 250]
    assert len(made) == 4
    counts = Denial.objects.filter(tenant=acme.tenant).values_list("id", "count")
    assert {str(id_): count for id_, count in counts} == Counter(each["decision_id"] for each in answers)


def test_the_same_key_twice_is_a_replay_and_with_another_body_a_conflict(api: Api, acme: Company) -> None:
    one = body_of("ACME", "PATENT_OPEN") | {"idempotency_key": "same"}
    other = body_of("ACME", "PATENT_OPEN", api_calls=2) | {"idempotency_key": "same"}
    results = api.post("/enforce/batch", {"items": [one, one, other]}).json()["results"]
    assert [each["status"] for each in results] == [200, 200, 409]
    assert results[0]["body"]["reservation_id"] == results[1]["body"]["reservation_id"]
    single = api.post("/enforce", body_of("ACME", "PATENT_OPEN"), Idempotency_Key="same")
    assert single.json()["reservation_id"] == results[0]["body"]["reservation_id"]


def test_a_batch_of_an_ati_token_is_its_users(acme: Company) -> None:
    caller = Api(acme.owner.token)
    items = [
        {"task": "PATENT_OPEN", "idempotency_key": "a"},
        {"task": "PATENT_OPEN", "user": "x", "idempotency_key": "b"},
    ]
    results = caller.post("/enforce/batch", {"items": items}).json()["results"]
    assert [each["status"] for each in results] == [200, 422]
    assert UsageReservation.objects.get().user_key == str(acme.owner.user.id)


def test_commits_of_several_tenants_each_answer_by_themselves(api: Api, acme: Company, rival: Company) -> None:
    ours = [api.enforce("ACME", "PATENT_OPEN")["reservation_id"] for _ in range(2)]
    theirs = api.enforce("RIVAL", "PATENT_OPEN")["reservation_id"]
    used = {"usage": {"api_calls": 1}}
    items = [
        {"reservation_id": ours[0]} | used,
        {"reservation_id": theirs} | used,
        {"reservation_id": ours[0]} | used,
        {"reservation_id": ours[0], "usage": {"api_calls": 7}},
        {"reservation_id": str(uuid4())} | used,
        {"reservation_id": ours[1], "usage": {"api_calls": -7}},
        {"reservation_id": theirs, "tenant": "ACME"} | used,
        used,
    ]
    results = api.post("/reservations/commit-batch", {"items": items}).json()["results"]
    assert [each["status"] for each in results] == [200, 200, 200, 409, 404, 422, 404, 422]
    assert results[0]["body"] == results[2]["body"]
    meter = UsageMeter.objects.get(tenant=acme.tenant, feature="PRIOR_ART_SEARCH", period="DAY", measure="UNITS")
    assert (meter.used, meter.reserved) == (1, 1)


def test_a_batch_has_1_to_500_items(api: Api, acme: Company) -> None:
    item = {"reservation_id": str(uuid4())}
    for items in ([], [item] * 501):
        response = api.post("/reservations/commit-batch", {"items": items})
        assert response.status_code == 422
    assert len(api.post("/reservations/commit-batch", {"items": [item] * 500}).json()["results"]) == 500


def test_a_stranger_commits_nothing_in_a_batch(acme: Company, rival: Company) -> None:
    ours = Api(acme.owner.token).enforce(None, "PATENT_OPEN")["reservation_id"]
    results = Api(rival.owner.token).post("/reservations/commit-batch", {"items": [{"reservation_id": ours}]}).json()
    assert results["results"][0]["status"] == 404
