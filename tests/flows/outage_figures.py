"""How soon callers are told that the database is away, and how soon they are served again: `python -m` this module.

Each way to lose it lasts 5 seconds, under the load of 6 callers on two web processes of three threads.
"""

import sys
from collections.abc import Callable
from statistics import median
from time import monotonic, sleep

from tests.flows.callers import Callers, Heard, callers
from tests.flows.site import Site, site

AWAY_SECONDS = 5.0

WAYS: dict[str, tuple[Callable[[Site], None], Callable[[Site], None]]] = {
    "stopped": (lambda own: own.postgres.stop(), lambda own: own.postgres.start()),
    "killed": (lambda own: own.postgres.kill(), lambda own: own.postgres.start()),
    "frozen": (Site.freeze, Site.thaw),
    "swallowed (TCP)": (lambda own: own.wire.swallow(), lambda own: own.wire.pass_on()),
}


def figures(own: Site, at_work: Callers, name: str, seconds: float) -> str:
    """One line about one outage."""
    away, back = WAYS[name]
    began_at = monotonic()
    away(own)
    sleep(max(0.0, began_at + seconds - monotonic()))
    back(own)
    back_at = monotonic()
    at_work.wait_until_all_heard(200, since=back_at, seconds=30, times=3)
    during = [each for caller in at_work.all for each in caller.heard if each.at < back_at]
    during = [each for each in during if each.at + each.seconds > began_at]
    refused = [each.seconds for each in during if each.status == 503]
    healthy = [each.seconds for each in during if each.kind == "healthz"]
    returned = [_first_served(caller.heard, back_at) for caller in at_work.all]
    return (
        f"{name:<16} 503: {len(refused):>6}, median {median(refused) * 1000:7.1f} ms, worst {max(refused):5.2f} s"
        f"   healthz worst {max(healthy, default=0):5.2f} s"
        f"   served again: median {median(returned):5.2f} s, last {max(returned):5.2f} s"
    )


def _first_served(heard: list[Heard], since: float) -> float:
    return min(
        each.at + each.seconds - since
        for each in heard
        if each.status == 200 and each.kind not in ("healthz", "readyz") and each.at + each.seconds > since
    )


def main() -> None:
    """The figures of every way, on the socket and over TCP."""
    with site() as own:
        for over_tcp in (False, True):
            url = own.start_web(over_tcp=over_tcp)
            for name in WAYS:
                if over_tcp or "TCP" not in name:
                    with callers(url, own.key) as at_work:
                        at_work.wait_until_all_heard(200, since=monotonic(), seconds=30)
                        place = "TCP   " if over_tcp else "socket"
                        sys.stdout.write(f"{place} {figures(own, at_work, name, AWAY_SECONDS)}\n")
        own.audit()


if __name__ == "__main__":
    main()
