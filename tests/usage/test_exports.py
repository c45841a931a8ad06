"""Lists as files: which rows, in which columns, spelt how, for whom; and what is not a file."""

import csv
import io
import json
from collections.abc import Mapping
from typing import Any

import psycopg
import pytest
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext
from psycopg.pq import TransactionStatus

from tenants.models import Role, Scope, User
from tests.cast import Company, make_key
from tests.enforcement.api import Api, fields_of
from tests.enforcement.rules import limit

TASK = "LLM2_DRAFT"
LOG_COLUMNS = (
    "id,reservation_id,recorded_at,occurred_at,status,late,certainty,attempt,user,feature,task,model_class,api_code,"
    "input_tokens,cached_input_tokens,cache_write_tokens,output_tokens,reasoning_tokens,api_calls,items,units,cost,"
    "latency_ms"
)
PATHS = ["/usage/logs", "/denials", "/usage/summary", "/usage/meters"]
FORMS = ["csv", "ndjson"]


def book(api: Api, number: int, **fields: Any) -> str:
    """Books usage without a reservation and gives the log row's id."""
    body = {"id": f"e-{number}", "tenant": "ACME", "task": TASK, "usage": {"input_tokens": 100}} | fields
    answer = api.post("/usage/events", body)
    assert answer.status_code == 200, answer.content
    booked: str = answer.json()["log_id"]
    return booked


def file(api: Api, path: str, form: str = "csv", **query: str) -> bytes:
    answer = api.get(path, format=form, **({"tenant": "ACME"} | query))
    assert answer.status_code == 200, answer.content
    content: bytes = answer.getvalue()  # of HttpResponse and StreamingHttpResponse alike
    return content


def of_csv(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode(), newline=""), strict=True))


def of_ndjson(content: bytes) -> list[Any]:
    return [json.loads(line) for line in content.splitlines()]


def listed(api: Api, path: str, **query: str) -> list[Any]:
    answer = api.get(path, **({"tenant": "ACME"} | query))
    assert answer.status_code == 200, answer.content
    found: list[Any] = answer.json()["results"]
    return found


def spelt(entry: Mapping[str, Any]) -> dict[str, str]:
    """An entry of a list as a row of a file."""
    return {name: value if isinstance(value, str) else _spelt(value) for name, value in entry.items()}


def _spelt(value: object) -> str:
    return "" if value is None else json.dumps(value, separators=(",", ":"))


def some_of_everything(api: Api, acme: Company) -> None:
    """A commit, an event, and a refusal."""
    permit = api.enforce("ACME", TASK, user='Müller, "A"\nB', tokens_in=100, tokens_out=100)
    used = {"input_tokens": 90, "cached_input_tokens": 10, "output_tokens": 70}
    api.commit(permit["reservation_id"], usage=used, model="gpt-4o", api_code="OPENAI", latency_ms=81)
    book(api, 1, user="u-1", model="nobody-knows-it")
    limit(acme.tenant, "DAILY_QUOTA", 1000, feature_id="PATENT_DRAFTING")
    assert api.enforce("ACME", TASK, user="u-1", tokens_in=900, tokens_out=101)["allowed"] is False


# --- the same as the list -----------------------------------------------------


@pytest.mark.parametrize("path", PATHS)
def test_a_file_holds_what_the_list_does(path: str, api: Api, acme: Company) -> None:
    some_of_everything(api, acme)
    entries = listed(api, path)
    assert entries
    assert of_ndjson(file(api, path, "ndjson")) == entries
    assert of_csv(file(api, path, "csv")) == [spelt(entry) for entry in entries]


def test_the_log_as_csv_has_the_columns_of_the_contract_in_its_order(api: Api, acme: Company) -> None:
    some_of_everything(api, acme)
    content = file(api, "/usage/logs")
    assert content.startswith(f"{LOG_COLUMNS}\r\n".encode())
    assert content.endswith(b"\r\n")
    assert content.count(b"\r\n") == 3
    assert '"Müller, ""A""\nB"'.encode() in content
    assert b"gpt-4o" not in content


def test_a_summary_as_csv_begins_with_its_key(api: Api, acme: Company) -> None:
    some_of_everything(api, acme)
    content = file(api, "/usage/summary", group_by="user")
    assert content.startswith(b"key,operations,failed,input_tokens,")
    assert {row["key"] for row in of_csv(content)} == {'Müller, "A"\nB', "u-1"}


@pytest.mark.parametrize("path", PATHS)
def test_a_file_of_nothing_is_its_header(path: str, api: Api, acme: Company) -> None:
    assert file(api, path, "csv").count(b"\r\n") == 1
    assert file(api, path, "ndjson") == b""


@pytest.mark.parametrize("form", FORMS)
def test_a_file_of_many_slices_is_whole_and_filtered_as_the_list(
    form: str, api: Api, acme: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("usage.walks.SLICE", 3)
    for number in range(10):
        book(api, number, user=f"u-{number % 2}", usage={"input_tokens": number + 1})
    read = of_csv if form == "csv" else of_ndjson
    times = [entry["recorded_at"] for entry in listed(api, "/usage/logs")]
    for query in (
        {}, {"user": "u-1"}, {"user": "nobody"}, {"recorded_at_after": times[6]}, {"recorded_at_before": times[3]},
        {"recorded_at_after": times[8], "recorded_at_before": times[1], "user": "u-0"},
        {"occurred_at_after": times[5]},
    ):  # fmt: skip
        found = [row["id"] for row in read(file(api, "/usage/logs", form, **query))]
        assert found == [entry["id"] for entry in listed(api, "/usage/logs", **query)], query
    assert len(read(file(api, "/usage/meters", form))) == len(listed(api, "/usage/meters")) > 3


def test_what_is_booked_while_a_file_is_written_is_not_in_it(
    api: Api, acme: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("usage.walks.SLICE", 2)
    booked = [book(api, number) for number in range(5)]
    answer = api.get("/usage/logs", tenant="ACME", format="ndjson")
    rows = []
    for number, lines in enumerate(answer.streaming_content):
        rows += of_ndjson(lines)
        book(api, 100 + number)
    assert [row["id"] for row in rows] == booked[::-1]


# --- how it is spelt ----------------------------------------------------------


@pytest.mark.parametrize(
    "user",
    [
        "=1+1",
        "+1 (5)",
        "-2+3",
        "@SUM(A1)",
        "\tx",
        "\rx",
        "\nx",
        " =1",
        "＝1",
        "'quoted'",
        "''",
        "-",
        "a=b",
        "-5",
        "1.5",
    ],
)
def test_no_cell_is_a_formula_and_each_is_read_back_as_it_was(user: str, api: Api, acme: Company) -> None:
    book(api, 1, user=user)
    (row,) = of_csv(file(api, "/usage/logs"))
    cell = row["user"]
    assert cell.removeprefix("'") == user
    assert not cell.lstrip().startswith(("=", "+", "@", "＝"))
    assert not cell.startswith(("\t", "\r", "\n"))
    assert cell == "-5" or not cell.startswith("-")
    assert of_ndjson(file(api, "/usage/logs", "ndjson"))[0]["user"] == user


@pytest.mark.parametrize(("form", "media"), [("csv", "text/csv"), ("ndjson", "application/x-ndjson")])
def test_a_file_says_what_and_whose_it_is(form: str, media: str, api: Api, acme: Company) -> None:
    answer = api.get("/usage/logs", tenant="ACME", format=form)
    assert answer["Content-Type"] == f"{media}; charset=utf-8"
    name = answer["Content-Disposition"]
    assert name.startswith('attachment; filename="usage-logs-ACME-2')
    assert name.endswith(f'Z.{form}"')


@pytest.mark.parametrize("path", PATHS)
def test_the_accept_header_asks_for_a_file_too_where_no_format_does(path: str, api: Api, acme: Company) -> None:
    def media(accept: str, **query: str) -> str:
        headers = api.headers | {"Accept": accept}
        answer = api.client.get(f"/api/v1{path}", {"tenant": "ACME"} | query, headers=headers)
        assert answer.status_code == 200
        assert answer["Vary"] == "Accept"
        found: str = answer["Content-Type"].partition(";")[0]
        return found

    assert media("text/csv") == "text/csv"
    assert media("application/x-ndjson, application/json;q=0.5") == "application/x-ndjson"
    for accept in ("application/json", "*/*", "text/html, */*;q=0.8", "image/png", ";;q=x"):
        assert media(accept) == "application/json", accept
    assert media("text/csv", format="json") == "application/json"


# --- what is no file ----------------------------------------------------------


@pytest.mark.parametrize("path", PATHS)
def test_a_form_that_is_not_known_is_answered_with_those_that_are(path: str, api: Api, acme: Company) -> None:
    answer = api.get(path, tenant="ACME", format="xlsx")
    assert (answer.status_code, fields_of(answer.json())) == (422, ["format"])
    assert "json, csv, ndjson" in answer.json()["detail"]


@pytest.mark.parametrize("path", ["/usage/logs", "/denials", "/usage/meters"])
def test_a_file_has_no_pages(path: str, api: Api, acme: Company) -> None:
    for name in ("page_size", "cursor"):
        answer = api.get(path, tenant="ACME", format="csv", **{name: "1"})
        assert (answer.status_code, fields_of(answer.json())) == (422, [name])


@pytest.mark.parametrize("path", PATHS)
def test_a_stranger_gets_no_file(path: str, acme: Company, rival: Company) -> None:
    for credential in (Api(make_key(tenant=rival.tenant)), Api(rival.owner.token)):
        assert credential.get(path, tenant="ACME", format="csv").status_code == 404
    assert Api(make_key(Scope.ENFORCE)).get(path, tenant="ACME", format="csv").status_code == 403
    assert Api(None).get(path, tenant="ACME", format="csv").status_code == 401


def test_a_token_gets_the_rows_that_its_users_role_may_see(api: Api, acme: Company) -> None:
    mine, colleague = acme.people
    for number, person in enumerate(acme.people):
        book(api, number, user=str(person.user.pk))
    for role, seen in ((Role.ANALYST, {mine}), (Role.VIEWER, {mine}), (Role.MANAGER, {mine, colleague})):
        User.objects.filter(pk=mine.user.pk).update(role=role)
        rows = of_csv(Api(mine.token).get("/usage/logs", format="csv").getvalue())
        assert {row["user"] for row in rows} == {str(person.user.pk) for person in seen}


# --- while it is written ------------------------------------------------------


def test_a_file_that_breaks_off_says_so_in_its_last_line(
    committed: None, svc: str, acme: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("usage.walks.SLICE", 2)
    api = Api(svc)
    for number in range(5):
        book(api, number)
    for form, last in (("csv", b"INCOMPLETE: "), ("ndjson", b'{"code":"UNAVAILABLE",')):
        answer = api.get("/usage/logs", tenant="ACME", format=form)
        content = iter(answer.streaming_content)
        chunks = [next(content)]
        assert connection.connection.info.transaction_status == TransactionStatus.IDLE
        with psycopg.connect(**connection.get_connection_params()) as other:
            other.execute("SELECT pg_terminate_backend(%s)", [connection.connection.info.backend_pid])
        with pytest.raises(OperationalError):
            chunks.extend(content)
        assert chunks[-1].startswith(last)
        connection.close()
        assert len(of_ndjson(file(api, "/usage/logs", "ndjson"))) == 5


def test_one_long_file_at_a_time_is_written_by_a_process(
    api: Api, acme: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("usage.walks.SLICE", 2)
    for number in range(3):
        book(api, number)
    under_way = api.get("/usage/logs", tenant="ACME", format="csv")
    refused = api.get("/usage/logs", tenant="ACME", format="csv")
    assert (refused.status_code, refused.json()["code"], refused["Retry-After"]) == (429, "THROTTLED", "5")
    assert "export" in refused.json()["detail"]
    assert file(api, "/denials")
    assert api.get("/usage/logs", tenant="ACME").status_code == 200
    assert under_way.getvalue()
    assert file(api, "/usage/logs")
    left = api.get("/usage/logs", tenant="ACME", format="csv")
    left._resource_closers[0]()  # as the web server closes it when its client has gone
    assert file(api, "/usage/logs")


def test_a_slice_takes_two_queries_however_many_rows_are_passed_over(
    api: Api, acme: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The caller's numbers, the tenant's numbers, then for each slice where it ends and what is asked for of it."""
    monkeypatch.setattr("usage.walks.SLICE", 4)
    for number in range(10):
        book(api, number, user=f"u-{number}")
    file(api, "/usage/logs")
    for query in ({}, {"user": "u-9"}, {"user": "nobody"}):
        with CaptureQueriesContext(connection) as captured:
            file(api, "/usage/logs", **query)
        assert len(captured) == 2 + 3 * 2, [each["sql"] for each in captured]
