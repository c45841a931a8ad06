"""The calls and refusals of a tenant, row by row."""

import csv
import json
from io import StringIO

import pytest
from django.test import Client

from plans.models import LLMModel
from tenants.models import Tenant, User
from tests.cast import Company
from tests.enforcement.api import Api
from tests.usage.pages import browser, spend, words
from usage.models import Denial, UsageLog

PAGE = "/t/ACME/activity/"


@pytest.fixture
def api(svc: str) -> Api:
    return Api(svc)


@pytest.fixture
def owner(acme: Company) -> Client:
    return browser(acme.owner.user)


def whole(client: Client, path: str) -> str:
    """The text of a file, streamed or not."""
    response = client.get(path)
    assert response.status_code == 200, response
    return b"".join(iter(response)).decode()


def test_a_call_is_listed_with_its_figures(api: Api, owner: Client) -> None:
    cost = spend(api, "ACME", user="u-17")["cost"]
    said = words(owner, PAGE)
    assert f"Completed LLM2_DRAFT u-17 PRO_M 1,000 500 1 {cost} 1,234 ms" in said


def test_an_empty_list_says_what_will_appear(owner: Client) -> None:
    assert "Nothing was called yet." in words(owner, PAGE)
    assert "Nothing was refused." in words(owner, PAGE, {"show": "refusals"})
    assert "Nothing fits these filters." in words(owner, PAGE, {"task": "EMBED"})


@pytest.mark.parametrize(
    "chosen",
    [
        {"user": "u-1"}, {"task": "LLM2_DRAFT"}, {"feature": "PATENT_DRAFTING"}, {"status": "COMPLETED"},
        {"model_class": "PRO_M", "user": "u-1"},
    ],
    ids="-".join,
)  # fmt: skip
def test_a_filter_leaves_what_it_names(api: Api, owner: Client, chosen: dict[str, str]) -> None:
    spend(api, "ACME", user="u-1")
    spend(api, "ACME", "LLM1_PRIOR_ART", user="u-2", status="failed")
    said = words(owner, PAGE, chosen)
    assert "u-1 PRO_M" in said
    assert "u-2 PRO_M" not in said


def test_days_are_the_tenants_and_both_are_included(api: Api, owner: Client) -> None:
    spend(api, "ACME", user="u-1")
    day = UsageLog.objects.get().occurred_at.date().isoformat()
    assert "u-1 PRO_M" in words(owner, PAGE, {"since": day, "until": day})
    assert "Nothing fits" in words(owner, PAGE, {"until": "2020-01-01"})
    assert "Nothing fits" in words(owner, PAGE, {"since": "2100-01-01"})


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        ({"since": "2026-02-01", "until": "2026-01-01"}, "It must not come before the first day."),
        ({"since": "0001-01-01"}, "A day between 1971 and 9998."),
        ({"since": "yesterday"}, "Enter a valid date."),
        ({"task": "NOPE"}, "NOPE is not one of the available choices."),
        ({"status": "x" * 300}, "is not one of the available choices."),
        ({"user": "u" * 129}, "at most 128 characters"),
        ({"show": "refusals", "code": "NOPE"}, "NOPE is not one of the available choices."),
    ],
)
def test_a_wrong_filter_is_named(owner: Client, sent: dict[str, str], said: str) -> None:
    assert said in words(owner, PAGE, sent, expected=422)


@pytest.mark.parametrize("cursor", ["x", "bm90LWEtdXVpZA==", "\x00"])
def test_a_broken_cursor_is_a_bad_request(owner: Client, cursor: str) -> None:
    assert owner.get(PAGE, {"cursor": cursor}).status_code == 400


def test_older_rows_are_a_page_away_and_newer_ones_back(api: Api, owner: Client) -> None:
    for number in range(3):
        spend(api, "ACME", user=f"u-{number}")
    first = owner.get(PAGE, {"page_size": "2"}).context["rows"]
    assert [row.user_key for row in first.results] == ["u-2", "u-1"]
    second = owner.get(first.next).context["rows"]
    assert [row.user_key for row in second.results] == ["u-0"]
    assert [row.user_key for row in owner.get(second.previous).context["rows"].results] == ["u-2", "u-1"]


def test_the_export_is_what_is_shown(api: Api, owner: Client) -> None:
    spend(api, "ACME", user="u-1")
    spend(api, "ACME", "LLM1_PRIOR_ART", user="u-2")
    rows = list(csv.DictReader(StringIO(whole(owner, f"{PAGE}export/?user=u-2&format=csv"))))
    assert [(row["user"], row["task"]) for row in rows] == [("u-2", "LLM1_PRIOR_ART")]
    lines = whole(owner, f"{PAGE}export/?format=ndjson").splitlines()
    assert [json.loads(line)["user"] for line in lines] == ["u-2", "u-1"]
    api.enforce("ACME", "EMBED", tokens_in=1)
    (refusal,) = csv.DictReader(StringIO(whole(owner, f"{PAGE}export/?show=refusals&format=csv")))
    assert refusal["code"] == "FEATURE_UNAVAILABLE"
    assert owner.get(f"{PAGE}export/?since=never").status_code == 422


def test_a_refusal_is_listed_with_its_reason_and_its_story(api: Api, owner: Client) -> None:
    refused = api.enforce("ACME", "EMBED", tokens_in=1, user="u-1")
    said = words(owner, PAGE, {"show": "refusals"})
    assert refused["message"] in said
    assert "FEATURE_UNAVAILABLE" in said
    story = words(owner, f"/t/ACME/decisions/{refused['decision_id']}/")
    assert "Refused: FEATURE_UNAVAILABLE" in story


def test_one_call_shows_its_charges_its_bookings_and_why_it_was_permitted(api: Api, owner: Client) -> None:
    done = spend(api, "ACME", user="u-1", input_tokens=3_000)
    row = UsageLog.objects.get()
    said = words(owner, f"{PAGE}{row.id}/")
    assert "Tokens in 3,000" in said
    assert f"Cost in USD {done['cost']}" in said
    assert "Patent drafting, the day tokens 3,000 3,500 500" in said
    assert "Took 1,234 ms" in said
    story = words(owner, f"/t/ACME/decisions/{row.reservation_id}/")
    assert "Permitted" in story
    assert "Monthly quota" in story


def test_bookings_of_one_call_lead_to_each_other(api: Api, owner: Client) -> None:
    held = api.enforce("ACME", "LLM2_DRAFT", tokens_in=2_000, tokens_out=1_000)["reservation_id"]
    so_far = {"usage": {"input_tokens": 100, "output_tokens": 10}, "model_class": "PRO_M", "status": "success"}
    assert api.post(f"/reservations/{held}/report", so_far).status_code == 200
    api.commit(held, status="success", usage={"input_tokens": 500, "output_tokens": 50}, model_class="PRO_M")
    report, end = UsageLog.objects.order_by("id")
    assert f"/activity/{report.id}/" in owner.get(f"{PAGE}{end.id}/").content.decode()
    assert "Reported on the way" in words(owner, f"{PAGE}{end.id}/")


def test_nobody_sees_what_is_not_theirs(api: Api, acme: Company, rival: Company) -> None:
    spend(api, "ACME", user="u-1")
    refused = api.enforce("ACME", "EMBED", tokens_in=1, user="u-1")
    row = UsageLog.objects.get()
    paths = [PAGE, f"{PAGE}export/", f"{PAGE}{row.id}/", f"/t/ACME/decisions/{row.reservation_id}/"]
    paths.append(f"/t/ACME/decisions/{refused['decision_id']}/")
    assert [browser(acme.owner.user).get(path).status_code for path in paths] == [200] * 5
    assert [browser(rival.owner.user).get(path).status_code for path in paths] == [404] * 5
    mine = [path.replace("ACME", "RIVAL") for path in paths[2:]]
    assert [browser(rival.owner.user).get(path).status_code for path in mine] == [404] * 3
    viewer = browser(acme.people[0].user)
    assert [viewer.get(path).status_code for path in paths[2:]] == [404] * 3
    assert "u-1" not in words(viewer, PAGE)
    assert "u-1" not in whole(viewer, f"{PAGE}export/")
    assert "u-1" not in words(viewer, PAGE, {"show": "refusals"})


def test_a_viewer_finds_their_own(api: Api, acme: Company) -> None:
    me = acme.people[0].user
    User.objects.filter(pk=me.pk).update(name="Vera")
    spend(api, "ACME", user=str(me.pk))
    row = UsageLog.objects.get()
    client = browser(me)
    assert "1,000 500" in words(client, PAGE)
    assert "Vera" in words(client, f"{PAGE}{row.id}/")


def test_no_models_id_appears(api: Api, owner: Client) -> None:
    spend(api, "ACME")
    api.enforce("ACME", "LLM2_DRAFT", tokens_in=500_000)
    row, refusal = UsageLog.objects.get(), Denial.objects.get()
    ids = [model.model_id for model in LLMModel.objects.all()]
    for path in (PAGE, f"{PAGE}?show=refusals", f"{PAGE}{row.id}/", f"/t/ACME/decisions/{row.reservation_id}/",
                 f"/t/ACME/decisions/{refusal.id}/"):  # fmt: skip
        page = owner.get(path).content.decode()
        assert [id_ for id_ in ids if id_ in page] == []
    assert [id_ for id_ in ids if id_ in whole(owner, f"{PAGE}export/")] == []


@pytest.mark.parametrize("path", [PAGE, f"{PAGE}export/"])
def test_the_first_of_all_days_is_told_wherever_it_begins(acme: Company, owner: Client, path: str) -> None:
    Tenant.objects.filter(pk=acme.tenant.pk).update(timezone="Asia/Kolkata")
    assert "A day between 1971 and 9998." in words(owner, path, {"since": "1971-01-01"}, expected=422)
    assert owner.get(path, {"since": "1971-01-02"}).status_code == 200


def test_a_place_in_the_list_that_was_changed_is_told(owner: Client) -> None:
    assert "This address cannot be read" in words(owner, PAGE, {"cursor": "bogus"}, expected=400)
