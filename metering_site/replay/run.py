"""One replay: workers that take call after call from the agenda, ask, and book what the trace says was used."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import monotonic

from metering_site.replay import tally as counts
from metering_site.replay.agenda import Agenda
from metering_site.replay.api import Answer, Api, Stopped, Unanswered
from metering_site.replay.asks import Ask, model_class_of
from metering_site.replay.parties import Prices
from metering_site.replay.tally import Tally


@dataclass(slots=True, kw_only=True)
class Replay:
    """What is sent where and how; `run` sends it. `patience`: how often a call that may wait asks again."""

    url: str
    key: str
    asks: Sequence[Ask]
    prices: Prices
    concurrency: int
    speed: float | None
    patience: int
    tally: Tally = field(default_factory=Tally)
    seconds: float = field(default=0.0, init=False)
    problem: str | None = field(default=None, init=False)
    _stop: threading.Event = field(default_factory=threading.Event, init=False)

    def require_answer(self) -> None:
        """Make sure that the server is there and takes the key for the first tenant. Raises Unanswered."""
        api = Api(self.url, self.key, self.tally, self._stop)
        try:
            answer = api.try_once("/check", self.asks[0].enforce_body())
        finally:
            api.close()
        if answer.status != 200:
            raise Unanswered(f"{self.url} answers {answer.problem}")

    def run(self, watch: Callable[[], None]) -> None:
        """Send everything, calling `watch` a few times a second; Ctrl-C finishes what is under way and ends it.

        Afterwards `seconds` says how long it took, and `problem` why it ended early, where it did.
        """
        agenda = Agenda(self.asks, self.speed)
        began_at = monotonic()
        workers = [
            threading.Thread(target=self._work, args=(agenda,), daemon=True, name=f"replay-{number}")
            for number in range(self.concurrency)
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            while worker.is_alive():
                try:
                    worker.join(0.2)
                    watch()
                except KeyboardInterrupt:
                    self._end(agenda, "it was interrupted")
        self.seconds = monotonic() - began_at

    def _end(self, agenda: Agenda, problem: str) -> None:
        self.problem = self.problem or problem
        self._stop.set()
        agenda.stop()

    def _work(self, agenda: Agenda) -> None:
        api = Api(self.url, self.key, self.tally, self._stop)
        try:
            while ask := agenda.take():
                agenda.done(ask, again_after_seconds=self._send(api, ask))
        except Stopped:
            pass
        except Exception as problem:
            self._end(agenda, str(problem) or type(problem).__name__)
            if not isinstance(problem, Unanswered):
                raise
        finally:
            api.close()

    def _send(self, api: Api, ask: Ask) -> float | None:
        """Ask, and commit what is permitted; the seconds after which to ask again where the answer was to wait."""
        answer = api.post(counts.ENFORCE, "/enforce", ask.enforce_body(), key=ask.key)
        if answer.status != 200:
            self.tally.fail(answer.problem)
        elif not answer.body["allowed"]:
            return self._denied(ask, answer)
        elif answer.body["reservation_id"] is None:
            self.tally.pass_through()
        else:
            self.book(api, ask, answer)
        return None

    def _denied(self, ask: Ask, answer: Answer) -> float | None:
        if answer.body["retryable"] and ask.waits < self.patience:
            ask.waits += 1
            self.tally.wait()
            return float(answer.body["retry_after_seconds"] or 1)
        self.tally.deny(answer.body["code"])
        return None

    def book(self, api: Api, ask: Ask, permit: Answer) -> None:
        """Commit what the trace says was used; as a usage event where the reservation takes no commit any more."""
        reservation = permit.body["reservation_id"]
        model_class = model_class_of(permit.body["params"], ask)
        model = self.prices.model(model_class)
        cost = self.prices.cost_nano_usd(model_class, ask.row.input_tokens, ask.row.output_tokens)
        answer = api.post(counts.COMMIT, f"/reservations/{reservation}/commit", ask.commit_body(model))
        if answer.status == 200:
            self.tally.permit(ask.row, cost, is_late=answer.body["late"])
            return
        if answer.status == 404 or answer.body.get("code") == "RESERVATION_ENDED":
            answer = api.post(counts.EVENT, "/usage/events", ask.event_body(model, reservation))
            if answer.status == 200:
                self.tally.permit(ask.row, cost, as_event=True)
                return
        self.tally.fail(f"commit: {answer.problem}")
