"""From Python types to the components of the description."""

import re
from collections.abc import Iterable
from typing import Any

import msgspec
import orjson
from django.db.models import Choices

from enforcement.answers import Problem
from plans.pricing import MAX_COUNT
from usage.measures import Totals

Schema = dict[str, Any]

_PREFIX = "#/components/schemas/"
_described: dict[str, Any] = {}


def ref(described: Any) -> Schema:  # noqa: ANN401 - a type, or a generic one with its parameters
    """A reference to the component of a type, which is described from then on."""
    name = _pretty(_name(described))
    _described[name] = described
    return {"$ref": f"{_PREFIX}{name}"}


def _name(described: Any) -> str:  # noqa: ANN401
    arguments = getattr(described, "__args__", ())
    return described.__name__ if not arguments else f"{described.__name__}_{arguments[0].__name__}_"


def _pretty(text: str) -> str:
    """Page[LogEntry] is called Page_LogEntry_ by msgspec, and LogEntryPage here."""
    return re.sub(r"\bPage_(\w+?)_(?=\W|$)", r"\1Page", text)


def batch(of: Schema, *required: str) -> Schema:
    """The body of a batch form: up to 500 items, in each of which these fields are required."""
    return {
        "type": "object",
        "required": ["items"],
        "additionalProperties": False,
        "properties": {"items": items(of, *required)},
    }


def items(of: Schema, *required: str) -> Schema:
    """A list of 1 to 500."""
    return {"type": "array", "minItems": 1, "maxItems": 500, "items": {"allOf": [of, {"required": list(required)}]}}


def results(of: Schema) -> Schema:
    """The answer of a batch form: for each item its HTTP status and its answer or problem, in order."""
    item = {
        "type": "object",
        "required": ["index", "status", "body"],
        "properties": {
            "index": {"type": "integer", "minimum": 0},
            "status": {"type": "integer"},
            "body": {"anyOf": [of, ref(Problem)]},
        },
    }
    return {"type": "object", "required": ["results"], "properties": {"results": {"type": "array", "items": item}}}


def complete(result: Schema) -> Schema:
    """Adds the components that are referred to."""
    result.setdefault("components", {}).setdefault("schemas", {}).update(components(_described.values()))
    for path in result["paths"].values():
        for operation in path.values():
            if "requestBody" in operation and not operation["operationId"].startswith("release"):
                operation["requestBody"]["required"] = True
    return result


def components(types: Iterable[Any]) -> dict[str, Schema]:
    """The components of types and of all that they contain, by name."""
    _, found = msgspec.json.schema_components([*types, Totals], ref_template=_PREFIX + "{name}", schema_hook=_choices)
    schemas: dict[str, Schema] = orjson.loads(_pretty(orjson.dumps(found).decode()))
    # What is used is read by hand, after the body, so that each wrong count is named; its shape is that of Totals.
    for body in ("CommitBody", "EventBody"):
        schemas[body]["properties"]["usage"] = {"anyOf": [{"$ref": f"{_PREFIX}Totals"}, {"type": "null"}]}
    schemas["Totals"]["additionalProperties"] = False
    if "DenialEntry" in schemas:  # defined below the quotas' own shape
        schemas["DenialEntry"]["properties"]["binding"] = {"anyOf": [{"$ref": f"{_PREFIX}Binding"}, {"type": "null"}]}
    for count in schemas["Totals"]["properties"].values():
        count["anyOf"][0] |= {"minimum": 0, "maximum": MAX_COUNT}
    return dict(sorted(schemas.items()))


def _choices(kind: type) -> Schema:
    """The values of Django's choices, which msgspec does not take for an enum."""
    if issubclass(kind, Choices):
        return {"type": "string", "enum": list(kind.values)}
    raise NotImplementedError(kind)
