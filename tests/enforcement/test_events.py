"""Usage events: facts that no reservation covers, and late commits."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from tests.cast import Company, make_key
from tests.enforcement.api import Api, fields_of
from usage.models import UsageEvent, UsageLog, UsageMeter

NOW = datetime.now(UTC)


def event(number: int = 1, **fields: Any) -> dict[str, Any]:
    return {
        "id": f"e{number}", "source": "tests", "tenant": "ACME", "user": "u-1", "task": "LLM2_DRAFT",
        "usage": {"input_tokens": 100, "output_tokens": 50},
    } | fields  # fmt: skip


def used(company: Company, period: str = "DAY") -> UsageMeter:
    return UsageMeter.objects.get(tenant=company.tenant, feature="PATENT_DRAFTING", measure="UNITS", period=period)


def test_a_fact_is_booked_in_full_and_counted_as_overrun(api: Api, acme: Company) -> None:
    answer = api.post("/usage/events", event())
    assert (answer.status_code, answer.json()["status"]) == (200, "BOOKED")
    log = UsageLog.objects.get(pk=answer.json()["log_id"])
    assert (log.status, log.units, log.reservation_id, log.user_key) == ("COMPLETED", 150, None, "u-1")
    assert (used(acme).used, used(acme).overrun) == (150, 150)
    assert not UsageMeter.objects.filter(measure="SLOTS").exists()


def test_a_repeated_event_changes_nothing_and_another_body_is_a_conflict(api: Api, acme: Company) -> None:
    first = api.post("/usage/events", event()).json()
    again = api.post("/usage/events", event()).json()
    assert (again["status"], again["log_id"]) == ("DUPLICATE", first["log_id"])
    assert api.post("/usage/events", event(user="u-2")).status_code == 409
    assert UsageLog.objects.count() == 1


def test_a_list_is_answered_item_by_item(api: Api, acme: Company) -> None:
    sent = [event(1), event(1), event(2, task="NOPE"), event(3, tenant="NOPE"), event(4, usage={"input_tokens": -1})]
    results = api.post("/usage/events", sent).json()["results"]
    assert [each["status"] for each in results] == [200, 200, 422, 404, 422]
    assert [each["body"].get("status") for each in results[:2]] == ["BOOKED", "DUPLICATE"]


def test_an_event_of_a_reservation_is_its_commit(api: Api, acme: Company) -> None:
    reservation = api.enforce("ACME", "LLM2_DRAFT", tokens_in=100, tokens_out=100)["reservation_id"]
    body = {"usage": {"input_tokens": 90, "output_tokens": 10}}
    sent = {"id": "x", "tenant": "ACME", "reservation_id": reservation} | body
    assert api.post("/usage/events", sent).json()["status"] == "BOOKED"
    assert api.commit(reservation, **body).headers["Idempotent-Replayed"] == "true"
    assert api.post("/usage/events", sent | {"id": "y"}).json()["status"] == "DUPLICATE"
    other = api.post("/usage/events", sent | {"id": "z", "usage": {"input_tokens": 1, "output_tokens": 1}})
    assert other.status_code == 409
    assert used(acme).used == 100


def test_usage_after_a_release_is_a_fact(api: Api, acme: Company) -> None:
    reservation = api.enforce("ACME", "LLM2_DRAFT", tokens_in=100, tokens_out=100)["reservation_id"]
    api.post(f"/reservations/{reservation}/release")
    answer = api.post("/usage/events", event(reservation_id=reservation))
    assert answer.json()["status"] == "BOOKED"
    assert used(acme).used == 150


def test_an_unknown_reservation_needs_a_task_to_be_booked_on(api: Api, acme: Company) -> None:
    gone = str(uuid4())
    assert api.post("/usage/events", {"id": "x", "tenant": "ACME", "reservation_id": gone}).status_code == 404
    assert api.post("/usage/events", event(reservation_id=gone)).json()["status"] == "BOOKED"


def test_a_fact_counts_in_the_periods_in_which_it_occurred(api: Api, acme: Company) -> None:
    """Defect 48: within 35 days it is booked; older or from the future it is refused."""
    now = datetime.now(UTC)
    then = now - timedelta(days=34)
    api.post("/usage/events", event(1, occurred_at=then.isoformat()))
    meter = used(acme)
    assert meter.period_end is not None
    assert meter.period_start <= then < meter.period_end
    for number, at in ((2, now - timedelta(days=36)), (3, now + timedelta(minutes=10))):
        response = api.post("/usage/events", event(number, occurred_at=at.isoformat()))
        assert (response.status_code, fields_of(response.json())) == (422, ["occurred_at"])


def test_cloud_events_are_read_alone_and_in_batches(api: Api, acme: Company) -> None:
    data = event()
    del data["id"], data["source"]
    cloud = {
        "specversion": "1.0", "id": "c1", "source": "/svc", "type": "usage", "time": NOW.isoformat(),
        "datacontenttype": "application/json", "data": data,
    }  # fmt: skip
    alone = api.client.post(
        "/api/v1/usage/events", cloud, content_type="application/cloudevents+json", headers=api.headers
    )
    assert alone.json()["status"] == "BOOKED", alone.content
    assert UsageEvent.objects.get().source == "/svc"
    batch = api.client.post(
        "/api/v1/usage/events",
        [cloud, cloud | {"id": "c2"}, cloud | {"specversion": "0.3"}],
        content_type="application/cloudevents-batch+json",
        headers=api.headers,
    )
    assert [each["status"] for each in batch.json()["results"]] == [200, 200, 422]


def test_an_event_needs_an_id_and_a_list_at_most_500(api: Api, acme: Company) -> None:
    without = event()
    del without["id"]
    assert fields_of(api.post("/usage/events", without).json()) == ["id"]
    assert api.post("/usage/events", [event(number) for number in range(501)]).status_code == 422
    assert api.post("/usage/events", []).status_code == 422


def test_only_the_report_scope_books_events_and_only_for_its_tenant(acme: Company, rival: Company) -> None:
    assert Api(acme.owner.token).post("/usage/events", event()).status_code == 403
    bound = Api(make_key(tenant=rival.tenant))
    assert bound.post("/usage/events", event()).status_code == 404
    assert bound.post("/usage/events", event(tenant="RIVAL")).status_code == 200


def test_the_same_id_of_two_tenants_is_two_events(api: Api, acme: Company, rival: Company) -> None:
    assert api.post("/usage/events", event()).json()["status"] == "BOOKED"
    assert api.post("/usage/events", event(tenant="RIVAL")).json()["status"] == "BOOKED"
