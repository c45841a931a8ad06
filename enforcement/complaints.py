"""What msgspec says of a body that is not as its struct, as the field and a sentence about it."""

import re
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, Literal, get_args, get_origin

import msgspec

from enforcement.errors import Invalid

_MOST = 128
"""Characters shown of a name that the caller made up."""
_COMPLAINT = re.compile(r"(?P<what>.*?)(?: - at (?:`key` in )?`\$(?P<path>[^`]*)`)?", re.DOTALL)
_KINDS = {
    "object": "an object", "array": "a list", "str": "text", "int": "a whole number", "float": "a decimal number",
    "bool": "true or false", "null": "null", "uuid": "a UUID", "datetime": "an instant",
}  # fmt: skip
_SAYINGS: Mapping[str, Callable[[re.Match[str]], str]] = {
    r"Expected `(.+)`, got `(.+)`": lambda found: f"It must be {_kinds(found[1])}, not {_kinds(found[2])}.",
    r"Expected `int` >= (\d+)": lambda found: f"It must be at least {found[1]}.",
    r"Expected `int` <= (\d+)": lambda found: f"It must be at most {int(found[1]):,}.",
    r"Expected `\w+` of length >= 1": lambda _: "It must not be empty.",
    r"Expected `str` of length <= (\d+)": lambda found: f"It may have {int(found[1]):,} characters at most.",
    r"Expected `array` of length <= (\d+)": lambda found: f"It may have {found[1]} items at most.",
    r"Expected `str` matching regex .*x00.*": lambda _: "It has a NUL character, which cannot be stored.",
    r"Expected `str` matching regex .*": lambda _: "It must be of printable ASCII characters.",
    r"Expected `datetime` with a timezone component": lambda _: "It needs a time zone: 2026-11-24T10:00:00Z.",
    r"Invalid RFC3339 encoded datetime": lambda _: "It must be an instant, such as 2026-11-24T10:00:00Z.",
    r"Invalid UUID": lambda _: "It must be a UUID.",
    r"(Integer value|Number) out of range": lambda _: "It is beyond what can be counted here.",
}
_MISSING = re.compile(r"Object missing required field `(\w+)`")
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)


def invalid(complaint: str, struct: object) -> Invalid:
    """The field by its dotted path, and what would do: of codes and fields those that are known.

    `complaint` is the text of a msgspec.ValidationError, `struct` the type it speaks of.
    """
    found = _COMPLAINT.fullmatch(complaint)
    what, path = (found["what"], found["path"] or "") if found else (complaint, "")
    path = path.replace("[...]", "").removeprefix(".")
    if missing := _MISSING.fullmatch(what):
        return Invalid(f"{path}.{missing[1]}".lstrip("."), "It is missing.")
    if unknown := _UNKNOWN.fullmatch(what):
        known = ", ".join(_fields(_at(struct, path)))
        name = unknown[1][:_MOST] or '""'
        return Invalid(f"{path}.{name}".removeprefix("."), f"There is no such field. Known: {known}.")
    if what.startswith("Invalid enum value"):
        return Invalid(path, f"It must be one of {', '.join(_choices(_at(struct, path)))}.")
    sentence = _sentence(what)
    if "key` in `" in complaint:
        sentence = sentence.replace("It ", "Each key in it ", 1)
    elif complaint.endswith("[...]`"):
        sentence = sentence.replace("It ", "Each value in it ", 1)
    return Invalid(path or "body", sentence)


def _sentence(what: str) -> str:
    for pattern, say in _SAYINGS.items():
        if found := re.fullmatch(pattern, what, re.DOTALL):
            return say(found)
    return f"{what}."


def _kinds(text: str) -> str:
    return " or ".join(_KINDS.get(kind, kind) for kind in text.split(" | "))


def _at(kind: Any, path: str) -> Any:  # noqa: ANN401 - types of any kind, here and below
    """The type at a dotted path."""
    for name in path.split(".") if path else ():
        kind = _fields(kind).get(name)
    return kind


def _fields(kind: Any) -> Mapping[str, Any]:  # noqa: ANN401
    """The types of a struct's fields by name; of the first struct in a union or list."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return {field.encode_name: field.type for field in msgspec.structs.fields(kind)}
    return next((found for each in get_args(kind) if (found := _fields(each))), {})


def _choices(kind: Any) -> list[str]:  # noqa: ANN401
    """The values of a closed set."""
    if get_origin(kind) is Literal:
        return [str(value) for value in get_args(kind)]
    if isinstance(kind, type) and issubclass(kind, Enum):
        return [str(member.value) for member in kind]
    return [choice for each in get_args(kind) for choice in _choices(each)]
