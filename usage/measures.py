"""What a call used: the client's own counts, or a provider's usage object, as one set of totals.

Providers disagree on what includes what, so each is read by its own definition:

- OpenAI (Chat Completions and Responses): input includes cached and cache-written tokens, output
  includes reasoning. https://platform.openai.com/docs/api-reference/chat/object
- Anthropic: `input_tokens` leaves out what was read from and what was written to the cache.
  https://docs.claude.com/en/docs/build-with-claude/prompt-caching
- Google: `promptTokenCount` includes cached content but not the prompts of tool use,
  `candidatesTokenCount` leaves out thoughts. https://ai.google.dev/api/generate-content
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields

from plans.pricing import MAX_COUNT


class BadUsage(ValueError):
    """Usage that cannot be true; `field` is its dotted path as the client sent it."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """All that one operation has used so far. None = not said; an explicit 0 stays 0.

    Input includes cached and cache-written tokens, those what was written for an hour, output includes reasoning.
    Web searches, and what was written for an hour, only make a price: the ledger counts neither. Every count is in
    0..MAX_COUNT and no part exceeds its whole: BadUsage, with the bare field name, where it does.
    """

    input_tokens: int | None = None
    cached_input_tokens: int | None = None
    cache_write_tokens: int | None = None
    output_tokens: int | None = None
    reasoning_tokens: int | None = None
    api_calls: int | None = None
    items: int | None = None
    cache_write_1h_tokens: int | None = None
    web_searches: int | None = None

    def __post_init__(self) -> None:
        for name in COUNTS:
            _whole_number(name, getattr(self, name))
        part = "cached_input_tokens" if self.cached_input_tokens else "cache_write_tokens"
        from_cache = (self.cached_input_tokens or 0) + (self.cache_write_tokens or 0)
        if from_cache and self.input_tokens is None:
            raise BadUsage(part, "It is part of the input tokens, which are missing.")
        if from_cache > (self.input_tokens or 0):
            raise BadUsage(part, _exceeds("cached and cache-written tokens", from_cache, "input", self.input_tokens))
        kept = self.cache_write_1h_tokens or 0
        if kept > (self.cache_write_tokens or 0):
            raise BadUsage("cache_write_1h_tokens", _exceeds("tokens", kept, "cache-written", self.cache_write_tokens))
        reasoning = self.reasoning_tokens or 0
        if self.output_tokens is not None and reasoning > self.output_tokens:
            raise BadUsage("reasoning_tokens", _exceeds("reasoning tokens", reasoning, "output", self.output_tokens))


COUNTS = tuple(field.name for field in fields(Totals))


def from_usage(usage: Mapping[str, object]) -> Totals:
    """Totals from the `usage` object of our own API; BadUsage names the field that is wrong."""
    for name in usage:
        if name not in COUNTS:
            raise BadUsage(f"usage.{name[:128]}", f"There is no such field. Known: {', '.join(COUNTS)}.")
    sent = _Sent("usage", usage)
    paths = {name: name for name in COUNTS}
    return sent.totals(sent.counts(paths), paths)


def from_raw(provider: str, raw_usage: Mapping[str, object]) -> Totals:
    """Totals from the usage object just as a provider sent it; api_calls and items are not said.

    null and absent mean the same; fields that are not read are ignored, for providers keep adding
    some. BadUsage names the field that is wrong, `raw_usage` where it holds none of the
    provider's counts, and `provider` where that is not one of PROVIDERS.
    """
    if provider not in _READERS:
        raise BadUsage("provider", f"It must be one of {', '.join(PROVIDERS)}.")
    sent = _Sent("raw_usage", raw_usage)
    counts, paths = _READERS[provider](sent)
    if counts["input_tokens"] is None and counts["output_tokens"] is None:
        raise BadUsage("raw_usage", f"It is not the usage object of a response from {provider}.")
    return sent.totals(counts, paths)


_Counts = dict[str, int | None]
_Paths = Mapping[str, str]


class _Sent:
    """An object as the client sent it, read by dotted paths; `root` is its own name there."""

    def __init__(self, root: str, value: Mapping[str, object]) -> None:
        self.root = root
        self.value = value

    def count(self, path: str) -> int | None:
        value: object = self.value
        walked = self.root
        for name in path.split("."):
            if value is None:
                return None
            if not isinstance(value, Mapping):
                raise BadUsage(walked, "It must be an object.")
            walked = f"{walked}.{name}"
            value = value.get(name)
        return _whole_number(walked, value)

    def counts(self, paths: _Paths) -> _Counts:
        return {name: self.count(path) for name, path in paths.items()}

    def totals(self, counts: _Counts, paths: _Paths) -> Totals:
        """The totals, or BadUsage with our field name turned back into the client's path."""
        try:
            return Totals(**counts)
        except BadUsage as error:
            raise BadUsage(f"{self.root}.{paths[error.field]}", error.message) from None


def _exceeds(parts: str, count: int, whole: str, most: int | None) -> str:
    return f"{count:,} {parts} are more than the {most or 0:,} {whole} tokens that they are part of."


def _whole_number(path: str, value: object) -> int | None:
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool):
        raise BadUsage(path, "It must be a whole number.")
    if not 0 <= value <= MAX_COUNT:
        raise BadUsage(path, f"It must be from 0 to {MAX_COUNT:,}.")
    return value


def _sum(*counts: int | None) -> int | None:
    """The sum of what was said; None where nothing was."""
    said = [count for count in counts if count is not None]
    return sum(said) if said else None


_OPENAI_CHAT = {
    "input_tokens": "prompt_tokens",
    "cached_input_tokens": "prompt_tokens_details.cached_tokens",
    "cache_write_tokens": "prompt_tokens_details.cache_write_tokens",
    "output_tokens": "completion_tokens",
    "reasoning_tokens": "completion_tokens_details.reasoning_tokens",
}
_OPENAI_RESPONSES = {
    "input_tokens": "input_tokens",
    "cached_input_tokens": "input_tokens_details.cached_tokens",
    "cache_write_tokens": "input_tokens_details.cache_write_tokens",
    "output_tokens": "output_tokens",
    "reasoning_tokens": "output_tokens_details.reasoning_tokens",
}
_ANTHROPIC = {
    "input_tokens": "input_tokens",
    "cached_input_tokens": "cache_read_input_tokens",
    "cache_write_tokens": "cache_creation_input_tokens",
    "cache_write_1h_tokens": "cache_creation.ephemeral_1h_input_tokens",
    "output_tokens": "output_tokens",
    "reasoning_tokens": "output_tokens_details.thinking_tokens",
    "web_searches": "server_tool_use.web_search_requests",
}
_GOOGLE = {
    "input_tokens": "promptTokenCount",
    "cached_input_tokens": "cachedContentTokenCount",
    "output_tokens": "candidatesTokenCount",
    "reasoning_tokens": "thoughtsTokenCount",
    "tool_use": "toolUsePromptTokenCount",
}
_GOOGLE_SNAKE = {
    "input_tokens": "prompt_token_count",
    "cached_input_tokens": "cached_content_token_count",
    "output_tokens": "candidates_token_count",
    "reasoning_tokens": "thoughts_token_count",
    "tool_use": "tool_use_prompt_token_count",
}


def _openai(sent: _Sent) -> tuple[_Counts, _Paths]:
    counts = sent.counts(_OPENAI_CHAT)
    # Gateways that speak both add the other kind's names, filled with 0.
    if counts["input_tokens"] is not None or counts["output_tokens"] is not None:
        return counts, _OPENAI_CHAT
    return sent.counts(_OPENAI_RESPONSES), _OPENAI_RESPONSES


def _anthropic(sent: _Sent) -> tuple[_Counts, _Paths]:
    counts = sent.counts(_ANTHROPIC)
    if counts["cache_write_tokens"] is None:
        counts["cache_write_tokens"] = _sum(
            sent.count("cache_creation.ephemeral_5m_input_tokens"),
            counts["cache_write_1h_tokens"],
        )
    if counts["input_tokens"] is not None:
        counts["input_tokens"] = _sum(
            counts["input_tokens"], counts["cached_input_tokens"], counts["cache_write_tokens"]
        )
    return counts, _ANTHROPIC


def _google(sent: _Sent) -> tuple[_Counts, _Paths]:
    # The REST API writes camelCase, the Python SDK dumps snake_case.
    paths = _GOOGLE if any(name in sent.value for name in _GOOGLE.values()) else _GOOGLE_SNAKE
    counts = sent.counts(paths)
    counts["input_tokens"] = _sum(counts["input_tokens"], counts.pop("tool_use"))
    counts["output_tokens"] = _sum(counts["output_tokens"], counts["reasoning_tokens"])
    return counts, paths


_READERS = {"openai": _openai, "anthropic": _anthropic, "google": _google}
PROVIDERS = tuple(_READERS)
