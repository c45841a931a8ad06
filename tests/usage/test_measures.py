"""Our own usage object, and usage that no client and no provider could mean."""

from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plans.pricing import MAX_COUNT
from tests.usage.provider_objects import ANTHROPIC, CHAT, GEMINI, RESPONSES
from usage.measures import COUNTS, PROVIDERS, BadUsage, Totals, from_raw, from_usage

Raw = Mapping[str, Any]  # a provider's JSON


def refused(provider: str, raw: Raw) -> BadUsage:
    with pytest.raises(BadUsage) as caught:
        from_raw(provider, raw)
    return caught.value


def test_an_explicit_zero_of_our_own_stays_zero_and_null_is_not_said() -> None:
    """Defect 41."""
    assert from_usage(dict.fromkeys(COUNTS, 0)) == Totals(**dict.fromkeys(COUNTS, 0))
    assert from_usage(dict.fromkeys(COUNTS)) == from_usage({}) == Totals()
    assert from_usage({"api_calls": 0}).api_calls == 0


@pytest.mark.parametrize(
    ("provider", "raw", "field"),
    [
        (
            "openai",
            {"prompt_tokens": 5, "prompt_tokens_details": {"cached_tokens": 6}},
            "raw_usage.prompt_tokens_details.cached_tokens",
        ),
        (
            "openai",
            {
                "input_tokens": 5,
                "input_tokens_details": {"cached_tokens": 3, "cache_write_tokens": 3},
            },
            "raw_usage.input_tokens_details.cached_tokens",
        ),
        (
            "openai",
            {"input_tokens": 5, "input_tokens_details": {"cache_write_tokens": 6}},
            "raw_usage.input_tokens_details.cache_write_tokens",
        ),
        (
            "openai",
            {"completion_tokens": 5, "completion_tokens_details": {"reasoning_tokens": 6}},
            "raw_usage.completion_tokens_details.reasoning_tokens",
        ),
        (
            "anthropic",
            {"output_tokens": 5, "cache_read_input_tokens": 6},
            "raw_usage.cache_read_input_tokens",
        ),
        (
            "google",
            {"promptTokenCount": 5, "cachedContentTokenCount": 6},
            "raw_usage.cachedContentTokenCount",
        ),
        (
            "google",
            {"prompt_token_count": 5, "cached_content_token_count": 6},
            "raw_usage.cached_content_token_count",
        ),
        ("openai", {"prompt_tokens": -1}, "raw_usage.prompt_tokens"),
        ("openai", {"prompt_tokens": MAX_COUNT + 1}, "raw_usage.prompt_tokens"),
        ("openai", {"prompt_tokens": "12"}, "raw_usage.prompt_tokens"),
        ("openai", {"prompt_tokens": 12.0}, "raw_usage.prompt_tokens"),
        ("openai", {"prompt_tokens": True}, "raw_usage.prompt_tokens"),
        ("openai", {"prompt_tokens": [12]}, "raw_usage.prompt_tokens"),
        (
            "openai",
            {"prompt_tokens": 1, "prompt_tokens_details": 0},
            "raw_usage.prompt_tokens_details",
        ),
        (
            "anthropic",
            {"input_tokens": 1, "cache_creation": {"ephemeral_1h_input_tokens": -1}},
            "raw_usage.cache_creation.ephemeral_1h_input_tokens",
        ),
        (
            "google",
            {"promptTokenCount": 1, "toolUsePromptTokenCount": False},
            "raw_usage.toolUsePromptTokenCount",
        ),
        # Each count is possible, their sum is not.
        (
            "anthropic",
            {"input_tokens": MAX_COUNT, "cache_read_input_tokens": 1},
            "raw_usage.input_tokens",
        ),
    ],
)
def test_nonsense_is_refused_with_the_field_as_it_was_sent(provider: str, raw: Raw, field: str) -> None:
    error = refused(provider, raw)
    assert error.field == field
    assert error.message in str(error)


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize(
    "raw",
    [
        {},
        {"usage": CHAT},
        {"total_tokens": 12},
        {"prompt_tokens": None, "input_tokens": None, "promptTokenCount": None},
        {"type": "duration", "seconds": 4},
    ],
)
def test_an_object_without_the_providers_counts_is_refused(provider: str, raw: Raw) -> None:
    error = refused(provider, raw)
    assert error.field == "raw_usage"
    assert provider in error.message


def test_one_providers_object_is_not_read_as_anothers() -> None:
    assert refused("anthropic", CHAT).field == "raw_usage"
    assert refused("google", ANTHROPIC).field == "raw_usage"
    assert refused("openai", GEMINI).field == "raw_usage"


def test_an_unknown_provider_is_refused_with_the_known_ones() -> None:
    error = refused("mistral", CHAT)
    assert error.field == "provider"
    assert "openai, anthropic, google" in error.message


def test_the_largest_count_is_allowed() -> None:
    assert from_usage({"items": MAX_COUNT}).items == MAX_COUNT


@pytest.mark.parametrize(
    ("usage", "field"),
    [
        ({"input_tokens": 5, "cached_input_tokens": 6}, "usage.cached_input_tokens"),
        (
            {"input_tokens": 5, "cached_input_tokens": 3, "cache_write_tokens": 3},
            "usage.cached_input_tokens",
        ),
        ({"input_tokens": 5, "cache_write_tokens": 6}, "usage.cache_write_tokens"),
        ({"cached_input_tokens": 1}, "usage.cached_input_tokens"),
        ({"cache_write_tokens": 1}, "usage.cache_write_tokens"),
        ({"output_tokens": 5, "reasoning_tokens": 6}, "usage.reasoning_tokens"),
        ({"items": -1}, "usage.items"),
        ({"api_calls": MAX_COUNT + 1}, "usage.api_calls"),
        ({"input_tokens": True}, "usage.input_tokens"),
        ({"input_tokens": 1.0}, "usage.input_tokens"),
        ({"input_tokens": "1"}, "usage.input_tokens"),
        ({"input_tokens": {}}, "usage.input_tokens"),
    ],
)
def test_our_own_usage_is_refused_with_the_field_named(usage: Mapping[str, object], field: str) -> None:
    with pytest.raises(BadUsage) as caught:
        from_usage(usage)
    assert caught.value.field == field


def test_an_unknown_field_of_our_own_is_refused_with_the_known_ones() -> None:
    with pytest.raises(BadUsage) as caught:
        from_usage({"input_tokens": 5, "prompt_tokens": 5})
    assert caught.value.field == "usage.prompt_tokens"
    assert "input_tokens, cached_input_tokens" in caught.value.message


def test_reasoning_may_be_said_without_output() -> None:
    assert from_usage({"reasoning_tokens": 3}) == Totals(reasoning_tokens=3)


def test_totals_cannot_be_built_inconsistent() -> None:
    with pytest.raises(BadUsage, match="cached_input_tokens"):
        Totals(input_tokens=1, cached_input_tokens=2)


names = st.sampled_from([*COUNTS, *CHAT, *RESPONSES, *ANTHROPIC, *GEMINI, "cached_tokens", "reasoning_tokens"])
scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3)
values = scalars | st.lists(scalars, max_size=2) | st.dictionaries(names, scalars, max_size=3)


@given(st.sampled_from(PROVIDERS), st.dictionaries(names, values, max_size=6))
def test_any_json_gives_totals_or_a_refusal(provider: str, sent: dict[str, object]) -> None:
    for read in (from_usage, partial(from_raw, provider)):
        with suppress(BadUsage):
            assert isinstance(read(sent), Totals)
