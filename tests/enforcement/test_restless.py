"""A configuration that does not stand still: the call is decided again, and given up in time."""

from datetime import UTC, datetime
from typing import NamedTuple, NoReturn, cast

import pytest
from rest_framework.request import Request

from enforcement import base, errors
from enforcement.base import LedgerView
from tenants import authentication, tokens
from tenants.authentication import Caller, Credentials
from usage.ledger import Stale


class Asked(NamedTuple):
    """As much of a request as deciding reads."""

    user: Caller
    auth: Credentials


@pytest.mark.parametrize(("patience", "tries"), [(60.0, 10), (0.0, 2)])
def test_what_never_stands_still_is_given_up_after_a_try_on_fresh_snapshots(
    svc: str, patience: float, tries: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each reload may take long: an operator's script that edits without a break must not take every thread."""
    monkeypatch.setattr(base, "_PATIENCE_SECONDS", patience)
    credentials = Credentials(bearer=tokens.parse(svc), ati=None, has_ati=False)
    caller = authentication.resolve(credentials, now=datetime.now(UTC), fresh=True)
    seen: list[datetime] = []

    def act(_: Caller, now: datetime) -> NoReturn:
        seen.append(now)
        raise Stale(datetime.now(UTC))

    with pytest.raises(errors.Restless):
        LedgerView().decide(cast("Request", Asked(caller, credentials)), act)
    assert len(seen) == tries
