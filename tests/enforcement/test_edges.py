"""Where snapshots, clocks and odd input meet: what an edit elsewhere, a wrong clock or a strange body must not do.

An edit through the ORM leaves this process's snapshots as they were, so it stands for one by another process.
"""

import io
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction
from django.test.utils import CaptureQueriesContext

from plans.models import LLMModel, ModelClass, ModelPrice, PolicyRule, Task
from tenants import authentication, tokens
from tenants.models import Scope, ServiceKey
from tests.cast import Company, make_key, plan
from tests.enforcement.api import Api, body_of, fields_of
from tests.enforcement.rules import limit
from usage.models import Denial, UsageLog, UsageMeter, UsageReservation

NOW = datetime.now(UTC)
HOUR = timedelta(hours=1)
USED = {"input_tokens": 1, "output_tokens": 1}


def chunked(api: Api, path: str, body: bytes) -> Any:
    """A request whose body came in chunks, as granian hands it on: without a length, ending by itself."""
    as_granian: dict[str, Any] = {
        "wsgi.input": io.BytesIO(body),
        "wsgi.input_terminated": True,
        "HTTP_TRANSFER_ENCODING": "chunked",
    }
    return api.client.generic(
        "POST", f"/api/v1{path}", content_type="application/json", headers=api.headers, **as_granian
    )


def test_a_body_in_chunks_is_read(api: Api, acme: Company) -> None:
    held = api.enforce("ACME", "LLM2_DRAFT", tokens_in=1000, tokens_out=1000)["reservation_id"]
    response = chunked(api, f"/reservations/{held}/commit", json.dumps({"usage": USED}).encode())
    log = UsageLog.objects.get(reservation_id=held)
    assert (response.status_code, log.input_tokens, log.certainty) == (200, 1, "FINAL")
    assert chunked(api, "/enforce", b" " * (256 * 1024 + 1)).json()["code"] == "BODY_TOO_LARGE"


@pytest.mark.parametrize("path", ["/enforce", "/check", "/usage/events", "/reservations/commit-batch"])
def test_an_empty_body_is_no_request(api: Api, acme: Company, path: str) -> None:
    assert api.raw(path, b"").json()["code"] == "MALFORMED"


def test_an_empty_commit_books_nothing_and_an_empty_release_releases(api: Api, acme: Company) -> None:
    held = api.enforce("ACME", "LLM2_DRAFT", tokens_in=1)["reservation_id"]
    assert api.raw(f"/reservations/{held}/commit", b"").status_code == 400
    assert api.raw(f"/reservations/{held}/release", b"").json()["status"] == "RELEASED"


def test_what_costs_more_than_can_be_counted_is_refused_by_its_field(api: Api, acme: Company) -> None:
    limit(acme.tenant, "MONTHLY_BUDGET", None)
    for path in ("/enforce", "/check"):
        response = api.post(path, body_of("ACME", "PATENT_OPEN", api_calls=10**9), Idempotency_Key="k")
        assert (response.status_code, fields_of(response.json())) == (422, ["estimate"])
    good = body_of("ACME", "PATENT_OPEN") | {"idempotency_key": "a"}
    bad = body_of("ACME", "PATENT_OPEN", api_calls=10**9) | {"idempotency_key": "b"}
    results = api.post("/enforce/batch", {"items": [bad, good]}).json()["results"]
    assert [each["status"] for each in results] == [422, 200]


def test_a_providers_object_may_hold_what_no_json_library_writes(api: Api, acme: Company) -> None:
    held = api.enforce("ACME", "LLM2_DRAFT", tokens_in=10, tokens_out=10)["reservation_id"]
    deep: Any = 1
    for _ in range(300):
        deep = {"x": deep}
    raw = {"prompt_tokens": 1, "completion_tokens": 1, "odd": 10**40, "deep": deep}
    assert api.commit(held, provider="openai", raw_usage=raw).status_code == 200
    event = {"tenant": "ACME", "task": "LLM2_DRAFT", "provider": "openai", "raw_usage": raw}
    results = api.post("/usage/events", [event | {"id": "a"}, event | {"id": "b"}]).json()["results"]
    assert [each["status"] for each in results] == [200, 200]


@pytest.mark.parametrize("at", ["9999-12-31T23:59:59-10:00", "0001-01-01T00:00:00+10:00", "2026-11-24T00:00:00"])
def test_an_absurd_instant_is_refused_by_its_field(api: Api, acme: Company, at: str) -> None:
    response = api.post("/usage/events", {"id": "a", "tenant": "ACME", "task": "EMBED", "occurred_at": at})
    assert (response.status_code, fields_of(response.json())) == (422, ["occurred_at"])


def test_a_scope_given_elsewhere_counts_at_once(acme: Company) -> None:
    caller = Api(make_key(Scope.READ))
    assert caller.ask("ACME", "PATENT_OPEN").status_code == 403
    ServiceKey.objects.update(scopes=[Scope.ENFORCE])
    assert caller.ask("ACME", "PATENT_OPEN").status_code == 200
    ServiceKey.objects.update(scopes=[Scope.READ])
    assert caller.ask("ACME", "PATENT_OPEN").status_code == 403


def test_a_key_opened_to_any_tenant_elsewhere_reaches_it_at_once(acme: Company, rival: Company) -> None:
    caller = Api(make_key(tenant=acme.tenant))
    assert caller.ask("RIVAL", "PATENT_OPEN").status_code == 404
    ServiceKey.objects.update(tenant=None)
    assert caller.ask("RIVAL", "PATENT_OPEN").status_code == 200


def test_a_model_class_made_elsewhere_is_known_to_the_next_commit(api: Api, acme: Company) -> None:
    """Usage that was spent on it would be lost otherwise."""
    held = api.enforce("ACME", "LLM2_DRAFT", tokens_in=1)["reservation_id"]
    ModelClass.objects.create(code="NEXT", name="Next", rank=60)
    assert api.commit(held, usage=USED, model_class="NEXT").status_code == 200


@pytest.mark.parametrize(
    ("path", "raw"),
    [
        ("/enforce", b"{"),
        ("/enforce", b'{"task": "NOPE", "tenant": "ACME"}'),
        ("/enforce", b'{"task": "EMBED", "tenant": "NOBODY"}'),
        ("/enforce/batch", b'{"items": [{"x": 1}]}'),
        ("/reservations/commit-batch", b'{"items": [{"x": 1}]}'),
        ("/usage/events", b'[{"x": 1}]'),
    ],
)
def test_a_key_revoked_elsewhere_is_told_so_whatever_it_sends(svc: str, acme: Company, path: str, raw: bytes) -> None:
    """Defect 28: no answer, not even a refusal, goes to a credential that is none any more."""
    caller = Api(svc)
    assert caller.ask("ACME", "PATENT_OPEN").status_code == 200
    ServiceKey.objects.update(revoked_at=datetime.now(UTC))
    assert caller.raw(path, raw, Idempotency_Key="k").status_code == 401


def test_a_fact_counts_on_a_meter_that_an_edit_elsewhere_brought_in(api: Api, acme: Company) -> None:
    event = {"tenant": "ACME", "task": "LLM2_DRAFT", "usage": USED}
    assert api.post("/usage/events", event | {"id": "a"}).status_code == 200
    limit(acme.tenant, "DAILY_TOKEN_LIMIT", 1000, feature_id="PATENT_DRAFTING")
    assert api.post("/usage/events", event | {"id": "b"}).status_code == 200
    assert UsageMeter.objects.get(tenant=acme.tenant, measure="TOKENS").used == 2


def test_a_fact_from_before_a_change_of_plan_counts_on_todays_limits(api: Api, acme: Company) -> None:
    limit(acme.tenant, "DAILY_TOKEN_LIMIT", 1000, feature_id="PATENT_DRAFTING")
    tokens.change_plan(acme.root, plan("ENTERPRISE"), now=datetime.now(UTC))
    before = datetime.now(UTC) - timedelta(seconds=10)
    event = {"id": "a", "tenant": "ACME", "task": "LLM2_DRAFT", "usage": USED, "occurred_at": before.isoformat()}
    assert api.post("/usage/events", event).status_code == 200
    assert UsageMeter.objects.get(tenant=acme.tenant, measure="TOKENS").used == 2
    assert UsageLog.objects.get().plan_id == plan("ENTERPRISE").id


def test_the_grant_of_a_key_is_answered_though_the_ask_has_become_invalid(api: Api, acme: Company) -> None:
    """I7."""
    first = api.enforce("ACME", None, feature="PATENT_DRAFTING", tokens_in=1, key="same")
    Task.objects.create(code="LLM9_OTHER", name="Other", feature_id="PATENT_DRAFTING", kind="LLM")
    again = api.enforce("ACME", None, feature="PATENT_DRAFTING", tokens_in=1, key="same")
    assert again["reservation_id"] == first["reservation_id"]
    assert api.ask("ACME", None, feature="PATENT_DRAFTING", tokens_in=1).status_code == 422


def test_an_exhausted_budget_is_named_beside_a_rate_that_never_fits(api: Api, acme: Company) -> None:
    """Defect 45: what resets last is named; nothing that can never fit is retryable."""
    limit(acme.tenant, "MONTHLY_BUDGET", 0)
    limit(acme.tenant, "TOKENS_PER_MINUTE", 15)
    refused = api.enforce("ACME", "LLM2_DRAFT", tokens_in=10, tokens_out=10)
    assert (refused["code"], refused["retryable"], refused["retry_after_seconds"]) == ("BUDGET_EXCEEDED", False, None)


def test_the_price_in_the_log_is_that_of_the_tier(api: Api, acme: Company) -> None:
    tokens.change_plan(acme.root, plan("ENTERPRISE"), now=datetime.now(UTC))
    limit(acme.tenant, "MAX_TOKENS_IN", None)
    model = LLMModel.objects.get(model_id="gpt-4o")
    ModelPrice.objects.create(
        model=model, unit="INPUT", above_input_tokens=1000, nano_usd_per_million=7 * 10**9, valid_from=NOW - HOUR
    )
    held = api.enforce("ACME", "LLM2_DRAFT", tokens_in=2000, tokens_out=10)["reservation_id"]
    api.commit(held, usage={"input_tokens": 2000, "output_tokens": 0}, model="gpt-4o", api_code="OPENAI")
    log = UsageLog.objects.get(reservation_id=held)
    assert log.price is not None
    assert (log.cost, log.price["rates"]["input"]) == (2000 * 7000, 7 * 10**9)
    assert log.price["above_input_tokens"] == 1000


def test_a_fact_that_names_no_model_is_priced_by_the_default_class_and_not_final(api: Api, acme: Company) -> None:
    event = {"tenant": "ACME", "task": "LLM2_DRAFT", "usage": USED}
    api.post("/usage/events", [event | {"id": "a"}, event | {"id": "b", "model_class": "BASE_S"}])
    unsure, sure = UsageLog.objects.order_by("certainty")
    assert (unsure.certainty, unsure.model_class_id, unsure.cost > sure.cost) == ("ESTIMATED", "PRO_L", True)
    assert (sure.certainty, sure.model_class_id) == ("FINAL", "BASE_S")


def test_an_id_made_elsewhere_does_not_set_the_date_of_the_price(api: Api, acme: Company) -> None:
    event = {
        "id": "a", "tenant": "ACME", "task": "LLM2_DRAFT", "usage": USED, "model": "gpt-4o",
        "reservation_id": "00000000-aaaa-4aaa-8aaa-aaaaaaaaaaaa",
    }  # fmt: skip
    api.post("/usage/events", event)
    assert (UsageLog.objects.get().cost or 0) > 0


def test_an_event_for_a_user_cannot_name_anothers_reservation(svc: str, acme: Company) -> None:
    held = Api(acme.owner.token).enforce(None, "LLM2_DRAFT", tokens_in=1)["reservation_id"]
    other = Api(svc, **{"X-ATI-Token": acme.people[0].token})
    event = {"id": "a", "task": "LLM2_DRAFT", "usage": USED, "reservation_id": held}
    assert other.post("/usage/events", event).status_code == 404
    assert UsageReservation.objects.get(pk=held).status == "OPEN"


def test_a_key_with_a_token_beside_it_sees_what_the_tokens_user_sees(svc: str, acme: Company) -> None:
    found = authentication.resolve(
        authentication.Credentials(tokens.parse(svc), tokens.parse(acme.people[0].token), has_ati=True),
        now=NOW,
        fresh=True,
    )
    assert found.sees_all is False


def test_spelling_out_what_was_not_said_is_the_same_commit(api: Api, acme: Company) -> None:
    held = api.enforce("ACME", "LLM2_DRAFT", tokens_in=1)["reservation_id"]
    assert api.commit(held, usage=USED).status_code == 200
    again = api.commit(held, usage=USED | {"items": None}, error=None)
    assert (again.status_code, again.headers["Idempotent-Replayed"]) == (200, "true")


def test_a_commit_whose_body_names_another_reservation_is_refused(api: Api, acme: Company) -> None:
    held = api.enforce("ACME", "LLM2_DRAFT", tokens_in=1)["reservation_id"]
    other = api.enforce("ACME", "LLM2_DRAFT", tokens_in=1)["reservation_id"]
    assert fields_of(api.commit(held, usage=USED, reservation_id=other).json()) == ["reservation_id"]
    assert api.commit(held, usage=USED, reservation_id=held).status_code == 200


def test_a_model_of_another_provider_has_no_price_here(api: Api, acme: Company) -> None:
    held = api.enforce("ACME", "LLM2_DRAFT", tokens_in=1)["reservation_id"]
    api.commit(held, usage=USED, model="gpt-4o", api_code="AZURE")
    assert UsageLog.objects.get(reservation_id=held).certainty == "ESTIMATED"


def test_an_operators_exception_for_a_user_beats_the_tenants_own_general_rule(api: Api, acme: Company) -> None:
    fields = {"feature_id": "PRIOR_ART_SEARCH", "key": "USER_DAILY_QUOTA", "reason": "a test"}
    PolicyRule.objects.create(scope="TENANT", tenant=acme.tenant, value=1, set_by_tenant=True, **fields)
    PolicyRule.objects.create(scope="USER", tenant=acme.tenant, user_key="vip", value=3, **fields)
    assert api.enforce("ACME", "PATENT_OPEN", user="vip", api_calls=3)["code"] == "OK"
    assert api.enforce("ACME", "PATENT_OPEN", user="u", api_calls=2)["code"] == "USER_QUOTA_EXCEEDED"


def test_refusals_of_different_users_do_not_mix(api: Api, acme: Company) -> None:
    limit(acme.tenant, "DAILY_QUOTA", 0, feature_id="PRIOR_ART_SEARCH")
    ids = {user: api.enforce("ACME", "PATENT_OPEN", user=user)["decision_id"] for user in map(str, range(40))}
    found = {str(denial.id): denial for denial in Denial.objects.all()}
    assert {user: found[denial].user_key for user, denial in ids.items()} == {user: user for user in ids}
    assert all(denial.count == 1 for denial in found.values())


def test_metadata_is_kept_in_its_own_column_alone(api: Api, acme: Company) -> None:
    held = api.enforce("ACME", "LLM2_DRAFT", tokens_in=1, metadata={"who": "someone"})["reservation_id"]
    api.commit(held, usage=USED)
    for row in (UsageReservation.objects.get(pk=held), UsageLog.objects.get(reservation_id=held)):
        assert row.metadata == {"who": "someone"}
        assert "someone" not in json.dumps([row.ask, row.decision])


def test_a_default_for_everybody_cannot_be_turned_into_something_else(db: None) -> None:
    rule = PolicyRule.objects.get(scope="GLOBAL", key="RESERVATION_TTL_SECONDS")
    with pytest.raises(DatabaseError, match="Cannot update"), transaction.atomic():
        PolicyRule.objects.filter(pk=rule.pk).update(task_id="EMBED")


def test_a_refusal_costs_a_comparison_and_is_not_repeated_for_ever(api: Api, acme: Company) -> None:
    api.enforce("ACME", "PATENT_OPEN")
    with CaptureQueriesContext(connection) as captured:
        assert api.raw("/enforce", b"{").status_code == 400
    assert len(captured) == 1


def test_a_body_cut_off_on_the_way_is_not_carried_out(api: Api, acme: Company) -> None:
    whole = json.dumps(body_of("ACME", "PATENT_OPEN")).encode()
    cut: dict[str, Any] = {"wsgi.input": io.BytesIO(whole), "CONTENT_LENGTH": str(len(whole) + 50)}
    response = api.client.generic(
        "POST",
        "/api/v1/enforce",
        content_type="application/json",
        headers=api.headers | {"Idempotency-Key": "k"},
        **cut,
    )
    assert (response.status_code, response.json()["code"]) == (400, "MALFORMED")
    assert not UsageReservation.objects.exists()


def test_sums_beyond_what_a_meter_holds_are_refused_and_not_a_500(api: Api, acme: Company) -> None:
    api.post("/usage/events", {"id": "a", "tenant": "ACME", "task": "NPL_OPEN", "usage": {"api_calls": 1}})
    UsageMeter.objects.filter(measure="COST").update(used=2**63 - 2, overrun=2**63 - 2)
    response = api.post("/usage/events", {"id": "b", "tenant": "ACME", "task": "NPL_OPEN", "usage": {"api_calls": 1}})
    assert (response.status_code, fields_of(response.json())) == (422, ["usage"])


def test_too_many_query_parameters_are_a_bad_request(api: Api) -> None:
    query = "&".join(f"a{number}=1" for number in range(1200))
    response = api.client.get(f"/api/v1/usage/logs?{query}", headers=api.headers)
    assert (response.status_code, response.json()["code"]) == (400, "MALFORMED")
