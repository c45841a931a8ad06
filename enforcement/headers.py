"""RateLimit-Policy and RateLimit (IETF draft-ietf-httpapi-ratelimit-headers), for the tightest quota."""

from enforcement.decisions import Decision, MeterState
from plans.charges import PeriodKind

_SECONDS = {PeriodKind.MINUTE: 60, PeriodKind.DAY: 86_400, PeriodKind.MONTH: 30 * 86_400}


def quota_headers(decision: Decision) -> dict[str, str]:
    """The two header fields; none where no counted quota is limited."""
    state = decision.tightest()
    if state is None or state.limit is None:
        return {}
    name = _name(state)
    left = state.remaining - (state.amount if decision.reservation_id else 0)
    seconds = max(0, round((state.resets_at - decision.now).total_seconds())) if state.resets_at else 0
    return {
        "RateLimit-Policy": f'"{name}";q={state.limit};w={_SECONDS.get(state.period, 0)}',
        "RateLimit": f'"{name}";r={max(0, left)};t={seconds}',
    }


def _name(state: MeterState) -> str:
    subject = state.task or state.feature or "all"
    return f"{subject}-{state.measure}-{state.period}".lower().replace("_", "-")
