"""The API's own description, and whether an answer is what it says."""

from functools import lru_cache
from typing import Any, cast

from drf_spectacular.generators import SchemaGenerator
from jsonschema import Draft202012Validator, FormatChecker


@lru_cache(maxsize=1)
def description() -> dict[str, Any]:
    """The OpenAPI document."""
    return cast("dict[str, Any]", SchemaGenerator().get_schema(request=None, public=True))  # type: ignore[no-untyped-call]


def operations() -> dict[str, dict[str, Any]]:
    """Every operation under the API by its id."""
    return {
        operation["operationId"]: operation | {"path": path, "method": method}
        for path, methods in description()["paths"].items()
        for method, operation in methods.items()
    }


def wrong_with(value: object, schema: dict[str, Any], *, strictly: bool = True) -> list[str]:
    """What a value has otherwise than its schema says; strictly: also what the schema does not speak of."""
    components = description()["components"]
    if strictly:
        components = cast("dict[str, Any]", _closed(components))
    whole = {**schema, "components": components}
    found = Draft202012Validator(whole, format_checker=FormatChecker()).iter_errors(value)
    return [f"{error.json_path}: {error.message}" for error in found]


def _closed(schema: object) -> object:
    """Objects with named properties have no others."""
    if isinstance(schema, list):
        return [_closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {name: _closed(each) for name, each in schema.items()}
    if isinstance(schema.get("properties"), dict) and schema.get("type") == "object":
        closed.setdefault("additionalProperties", False)
    return closed


def assert_described(operation: str, answer: Any) -> Any:
    """The body of an answer that is as the description of this operation says."""
    responses = operations()[operation]["responses"]
    status = str(answer.status_code)
    assert status in responses, f"{operation} does not speak of {status}: {answer.content}"
    media = answer["Content-Type"]
    content = responses[status]["content"]
    assert media in content, f"{operation} {status} is {media}"
    wrong = wrong_with(answer.json(), content[media]["schema"])
    assert not wrong, f"{operation} {status}: {wrong}"
    return answer.json()
