"""Which call is due next: those of the trace in their order, and those that were told to ask again later."""

import heapq
import threading
from collections import deque
from collections.abc import Sequence
from time import monotonic

from metering_site.replay.asks import Ask


class Agenda:
    """Hands out calls to any number of workers. `speed` times real time; None = as fast as they are taken."""

    def __init__(self, asks: Sequence[Ask], speed: float | None) -> None:
        self._asks = deque(asks)
        self._speed = speed
        self._later: list[tuple[float, int, Ask]] = []
        self._at_work = 0
        self._is_stopped = False
        self._changed = threading.Condition()
        self._began_at = monotonic()

    def take(self) -> Ask | None:
        """The next call, once it is due; None when all are done or it was stopped."""
        with self._changed:
            while not self._is_stopped:
                now = monotonic()
                due_at = self._due_at()
                if due_at is None and self._at_work == 0:
                    return None
                if due_at is not None and due_at <= now:
                    self._at_work += 1
                    return self._pop(now)
                self._changed.wait(None if due_at is None else due_at - now)
            return None

    def done(self, ask: Ask, *, again_after_seconds: float | None = None) -> None:
        """A call that was taken is over, or is to be made again after so many seconds."""
        with self._changed:
            self._at_work -= 1
            if again_after_seconds is not None:
                heapq.heappush(self._later, (monotonic() + again_after_seconds, ask.row.number, ask))
            self._changed.notify_all()

    def stop(self) -> None:
        """Hand out nothing more."""
        with self._changed:
            self._is_stopped = True
            self._changed.notify_all()

    def _due_at(self) -> float | None:
        """When the next call is due; None where none is waiting."""
        fresh = self._fresh_at()
        again = self._later[0][0] if self._later else None
        return min((at for at in (fresh, again) if at is not None), default=None)

    def _fresh_at(self) -> float | None:
        if not self._asks:
            return None
        return self._began_at + (self._asks[0].row.after_seconds / self._speed if self._speed else 0.0)

    def _pop(self, now: float) -> Ask:
        """Those that have waited go first: a trace in a hurry would otherwise never come back to them."""
        if self._later and self._later[0][0] <= now:
            return heapq.heappop(self._later)[2]
        return self._asks.popleft()
