"""What callers are answered about calls that are archived, and about users who are erased."""

from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command
from pytest_django import Settings

from tenants.ids import uuid7
from tests.cast import Company
from tests.enforcement.api import Api
from tests.usage.history import age, without_old_months
from tests.usage.ledger_world import breaches
from usage.models import Erasure


@pytest.fixture(autouse=True)
def _files(committed: None, tmp_path: Path, settings: Settings) -> Iterator[None]:
    settings.ARCHIVE_DIR = tmp_path
    with without_old_months():
        yield


def call(api: Api, user: str = "u-17") -> str:
    """A committed call; its reservation."""
    asked = api.enforce("ACME", "LLM2_DRAFT", user=user, tokens_in=100, tokens_out=100, metadata={"of": user})
    done = api.commit(asked["reservation_id"], status="success", usage={"input_tokens": 90, "output_tokens": 10})
    assert done.status_code == 200
    return str(asked["reservation_id"])


def test_what_is_archived_is_answered_so(api: Api, acme: Company) -> None:
    call(api)
    month = age(acme.tenant.id)
    (row,) = api.get("/usage/logs", tenant="ACME").json()["results"]
    old = row["reservation_id"]
    assert api.get(f"/decisions/{old}", tenant="ACME").status_code == 200

    call_command("archive_usage", stdout=StringIO())

    gone = api.get(f"/decisions/{old}", tenant="ACME")
    assert gone.status_code == 404
    assert gone.json()["detail"] == f"There is no decision with this id here any more: the log of {month} is archived."
    other = api.get(f"/decisions/{uuid7()}", tenant="ACME")
    assert other.json()["detail"] == "There is no decision with this id here, or it was pruned."
    for odd in ("00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff"):
        assert api.get(f"/decisions/{odd}", tenant="ACME").status_code == 404

    late = {"id": "e1", "tenant": "ACME", "task": "LLM2_DRAFT", "usage": {"input_tokens": 90, "output_tokens": 10}}
    refused = api.post("/usage/events", late | {"reservation_id": old})
    assert (refused.status_code, refused.json()["code"]) == (409, "RESERVATION_ENDED")
    assert "is archived" in refused.json()["detail"]
    assert api.post("/usage/events", late).json()["status"] == "BOOKED"
    assert not breaches(acme.tenant.id)


def test_corrections_leave_what_is_archived_and_say_so(api: Api, acme: Company) -> None:
    call(api)
    month = age(acme.tenant.id)
    call_command("archive_usage", stdout=StringIO())
    out = StringIO()
    call_command("reprice", "--from", "2025-01-01", "--dry-run", stdout=out)
    assert f"Calls booked before {month.end:%Y-%m-%d} are archived, and stay as they are." in out.getvalue()


def test_an_erased_user_is_read_and_explained_by_their_pseudonym(api: Api, acme: Company) -> None:
    reservation = call(api)
    call_command("erase_user", "ACME", "u-17", "--yes", stdout=StringIO())
    pseudonym = Erasure.objects.get().pseudonym
    assert api.get("/usage/logs", tenant="ACME", user="u-17").json()["results"] == []
    (row,) = api.get("/usage/logs", tenant="ACME", user=pseudonym).json()["results"]
    assert (row["reservation_id"], row["user"]) == (reservation, pseudonym)
    for path in (f"/decisions/{reservation}", f"/reservations/{reservation}", "/usage/meters", "/usage/summary"):
        answer = api.get(path, tenant="ACME")
        assert answer.status_code == 200, path
        assert "u-17" not in answer.content.decode(), path
    again = api.commit(reservation, status="success", usage={"input_tokens": 90, "output_tokens": 10})
    assert again.status_code == 200
    assert "u-17" not in again.content.decode()
