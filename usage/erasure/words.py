"""How a user is found in words, and when they surely are."""

import re
from collections.abc import Iterable, Iterator

from django.apps import apps
from django.contrib.postgres.fields import ArrayField

from plans.models import Feature, ModelClass, Plan, Task

_SHORTEST = 3
# A name ends where a text could not go on with it: "u-17" is not in "u-17-2", which is another user's.
_BEFORE, _AFTER = r"(?<![\w.@+-])", r"(?![\w@+-]|\.\w)"


def pattern(words: Iterable[str]) -> str | None:
    """A regular expression of PostgreSQL that finds these words; None where none of them is telling."""
    found = [re.sub(r"([^\w\s])", r"\\\1", word) for word in words if is_telling(word)]
    return f"{_BEFORE}(?:{'|'.join(found)}){_AFTER}" if found else None


def is_telling(word: str) -> bool:
    """Whether a text that has this word can only mean the user: not "7", not "ADMIN"."""
    return len(word) >= _SHORTEST and not word.isdigit() and word.strip() == word and word not in set(_ours())


def _ours() -> Iterator[str]:
    """The words that tables say by themselves: choices, and the codes of the catalogue."""
    for model in apps.get_models():
        for field in model._meta.get_fields():
            one = field.base_field if isinstance(field, ArrayField) else field
            for value, _ in getattr(one, "flatchoices", None) or ():
                yield str(value)
    for vocabulary in (Feature, Task, ModelClass, Plan):
        yield from vocabulary._default_manager.values_list("code", flat=True)
