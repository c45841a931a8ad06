"""The headers and query parameters of the operations."""

from collections.abc import Collection

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter

from alerts.queries import PARAMETERS as ALERT_PARAMETERS
from plans.charges import PeriodKind
from plans.codes import Code
from usage.exports import Form
from usage.models import LogStatus
from usage.pagination import DEFAULT_SIZE, MAX_SIZE
from usage.summaries import GROUPS


def _header(name: str, text: str, *, required: bool = False, longest: int | None = None) -> OpenApiParameter:
    schema: dict[str, object] = {"type": "string"}
    if longest is not None:
        schema |= {"minLength": 1, "maxLength": longest, "pattern": "^[ -~]+$"}
    return OpenApiParameter(name, schema, OpenApiParameter.HEADER, required=required, description=text)


def _query(
    name: str,
    text: str,
    *,
    required: bool = False,
    enum: Collection[str] | None = None,
    longest: int | None = None,
    kind: OpenApiTypes | None = None,
) -> OpenApiParameter:
    schema: dict[str, object] = {"type": "string", "minLength": 1}
    if longest is not None:
        schema["maxLength"] = longest
    if enum is not None:
        schema = {"type": "string", "enum": list(enum)}
    return OpenApiParameter(name, kind or schema, OpenApiParameter.QUERY, required=required, description=text)


def _answered(name: str, text: str, status: int = 200) -> OpenApiParameter:
    return OpenApiParameter(name, str, OpenApiParameter.HEADER, description=text, response=[status])


REQUEST = [
    _header("X-Request-ID", "Echoed, made if absent, and on every line of our log."),
    _header("X-ATI-Token", "Beside a service key: the ATI token that gives tenant and user."),
]
IDEMPOTENCY_KEY = _header(
    "Idempotency-Key", "Your own name of this request: repeated with the same body it is answered alike, not granted "
    "twice. It may stand in the body instead.", longest=128,
)  # fmt: skip
REPLAYED = _answered("Idempotent-Replayed", "“true” where the answer was given before.")
SIMULATE = [
    _header("Idempotency-Key", "Repeated with the same body it names the same simulation.", longest=128),
    _answered("Location", "Where it stands.", 202),
    _answered("Idempotent-Replayed", "“true” where it was asked for before.", 202),
]
RATE_LIMITS = [
    _answered("RateLimit-Policy", "IETF draft: the tightest quota, its limit (q) and seconds (w)."),
    _answered("RateLimit", "IETF draft: what is left of it (r), and the seconds until it resets (t)."),
    _answered("Retry-After", "Seconds, where asking again may help."),
]
EXPLAIN = _query("explain", "1: the answer says why, gate by gate.", enum=("0", "1"))
TENANT = _query("tenant", "The tenant's ATI id: for keys that may act for any tenant.", longest=128)
_PAGES = [
    _query("cursor", "Where the page begins: from `next` or `previous` of an answer."),
    OpenApiParameter(
        "page_size", {"type": "integer", "minimum": 1, "maximum": MAX_SIZE, "default": DEFAULT_SIZE},
        OpenApiParameter.QUERY, description="Most rows on a page. Where few of many are asked for a page may hold "
        "fewer, or none, before the last: follow `next` until it is null.",
    ),
]  # fmt: skip
_FILES = [
    _query(
        "format", "In which form; without it the Accept header says. The other forms are the whole list as a file, "
        "without pages. One that broke off ends with a line that is no entry and says INCOMPLETE.",
        enum=list(Form),
    ),
    _answered("Content-Disposition", "The name of a file."),
]  # fmt: skip
_USER = _query("user", "Your own id of your end user.", longest=128)
_FEATURE = _query("feature", "A feature's code.", longest=128)
_TASK = _query("task", "A task's code.", longest=128)

ENTITLEMENTS = [TENANT, _USER]
METERS = [TENANT, _USER, _FEATURE, _query("period", "One kind of period.", enum=PeriodKind.values), *_PAGES, *_FILES]
LOGS = [
    TENANT, _USER, _FEATURE, _TASK,
    _query("model_class", "A model class.", longest=128),
    _query("api_code", "The API that was called.", longest=64),
    _query("status", "What was booked.", enum=LogStatus.values),
    _query("late", "Booked after the reservation had expired.", enum=("true", "false")),
    _query("recorded_at_after", "Booked at or after this instant.", kind=OpenApiTypes.DATETIME),
    _query("recorded_at_before", "Booked before this instant.", kind=OpenApiTypes.DATETIME),
    _query("occurred_at_after", "Occurred at or after this instant.", kind=OpenApiTypes.DATETIME),
    _query("occurred_at_before", "Occurred before this instant.", kind=OpenApiTypes.DATETIME),
    *_PAGES,
    *_FILES,
]  # fmt: skip
SUMMARY = [
    TENANT,
    _query("group_by", "What to sum by (day).", enum=GROUPS),
    _query("from", "The first instant, or the day it begins; without `from` and `to` the running month.", longest=64),
    _query("to", "The first instant, or day, that is left out. At most 366 days, by hour 31.", longest=64),
    _query("tz", "The time zone whose days and hours count, in place of the tenant's.", longest=64),
    *_FILES,
]
DENIALS = [
    TENANT, _USER, _FEATURE, _TASK,
    _query("code", "Why it was refused.", enum=[code.value for code in Code if code is not Code.OK]),
    *_PAGES,
    *_FILES,
]  # fmt: skip
ALERTS = [
    TENANT,
    *(_query(name, f"Those of this {name}.", enum=known) for name, known in ALERT_PARAMETERS.items()),
    *_PAGES,
]
