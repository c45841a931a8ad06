"""The OpenAPI description of the API, made from the structs that parse bodies and the classes that are answered."""

from typing import Any

from enforcement.schema import components
from enforcement.schema.components import Schema
from enforcement.schema.operations import describe
from enforcement.schema.webhooks import webhooks

__all__ = ["complete", "describe"]


def complete(result: Schema, **_: Any) -> Schema:  # noqa: ANN401 - drf-spectacular's hook
    """drf-spectacular's last step: adds the messages that channels get, and the components that all refer to."""
    result["webhooks"] = webhooks()
    return components.complete(result)
