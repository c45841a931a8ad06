"""The OpenAPI description of the API, made from the structs that parse bodies and the classes that are answered."""

from enforcement.schema.components import complete
from enforcement.schema.operations import describe

__all__ = ["complete", "describe"]
