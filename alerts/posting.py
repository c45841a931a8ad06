"""One POST to a webhook that somebody named: to a checked address, in bounded time, and no answer is read."""

import asyncio
import ssl
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache

import httpx2

from alerts import addresses
from alerts.outcomes import SENT, Outcome, Verdict, failed

SECONDS = 10.0
"""From the connection to the answer's head, all together: an answer in drops is cut off as well."""

_CONNECT_SECONDS = 4.0
_LONGEST_WAIT_SECONDS = 86_400.0


def post(url: str, body: bytes, headers: Mapping[str, str]) -> Outcome:
    """Send `body` to `url` once. A redirect is a failure: the address it names was never checked."""
    try:
        target = addresses.resolve(url)
        return asyncio.run(_within_time(target, body, headers))
    except addresses.Refused as refusal:
        return failed(str(refusal))
    except addresses.Unresolved as missing:
        return failed(str(missing))
    except TimeoutError:
        return failed(f"No answer within {SECONDS:.0f} seconds.")
    except httpx2.TimeoutException:
        return failed("It could not be reached in time.")
    except httpx2.HTTPError as error:
        return failed(f"The connection failed ({type(error).__name__}).")


async def _within_time(target: addresses.Target, body: bytes, headers: Mapping[str, str]) -> Outcome:
    async with asyncio.timeout(SECONDS):
        # A proxy of the environment would resolve the name itself, and an answer is never worth keeping.
        limits = httpx2.Timeout(SECONDS, connect=_CONNECT_SECONDS)
        async with (
            httpx2.AsyncClient(verify=_trusted(), trust_env=False, follow_redirects=False, timeout=limits) as client,
            client.stream(
                "POST",
                target.connected_url,
                content=body,
                headers={"User-Agent": "Metering-Alerts/1", **headers, "Host": target.host_header},
                extensions={"sni_hostname": target.host},
            ) as answer,
        ):
            return _outcome(answer)


@cache
def _trusted() -> ssl.SSLContext:
    """The public certificate authorities, read once."""
    return httpx2.create_ssl_context(trust_env=False)


def _outcome(answer: httpx2.Response) -> Outcome:
    status = answer.status_code
    if answer.is_success:
        return SENT
    if status == httpx2.codes.GONE:
        return Outcome(verdict=Verdict.GONE, error="It answered 410: it wants no more messages.")
    error = f"It answered {status}."
    if answer.is_redirect:
        error = f"It answered {status}, and redirects are not followed: give the channel its new address."
    return Outcome(verdict=Verdict.RETRY, error=error, retry_after_seconds=_wait(answer.headers.get("Retry-After")))


def _wait(asked: str | None) -> float | None:
    """The seconds of a Retry-After header, which has them or a date; None for what cannot be read."""
    seconds: float | None = None
    if asked is not None and asked.strip().isdecimal():
        seconds = float(asked.strip()[:9])
    elif asked is not None:
        with suppress(ValueError, TypeError, OverflowError):
            at = parsedate_to_datetime(asked)
            seconds = (at.replace(tzinfo=at.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
    return None if seconds is None else min(max(0.0, seconds), _LONGEST_WAIT_SECONDS)
