"""Usage objects as providers really send them, and those that no provider could mean."""

from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from typing import Any

import pytest
from genai_prices import extract_usage
from hypothesis import given
from hypothesis import strategies as st

from usage.measures import COUNTS, MAX_COUNT, PROVIDERS, BadUsage, Totals, from_raw, from_usage

Raw = Mapping[str, Any]  # a provider's JSON

CHAT = {
    "prompt_tokens": 2006,
    "completion_tokens": 1300,
    "total_tokens": 3306,
    "prompt_tokens_details": {"cached_tokens": 1920, "audio_tokens": 0},
    "completion_tokens_details": {
        "reasoning_tokens": 1024,
        "audio_tokens": 0,
        "accepted_prediction_tokens": 0,
        "rejected_prediction_tokens": 0,
    },
}
RESPONSES = {
    "input_tokens": 36,
    "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 12},
    "output_tokens": 87,
    "output_tokens_details": {"reasoning_tokens": 0},
    "total_tokens": 123,
}
ANTHROPIC = {
    "input_tokens": 50,
    "cache_creation_input_tokens": 248,
    "cache_read_input_tokens": 1800,
    "cache_creation": {"ephemeral_5m_input_tokens": 148, "ephemeral_1h_input_tokens": 100},
    "output_tokens": 503,
    "output_tokens_details": {"thinking_tokens": 120},
    "server_tool_use": {"web_search_requests": 1},
    "service_tier": "standard",
}
GEMINI = {
    "promptTokenCount": 700,
    "cachedContentTokenCount": 512,
    "candidatesTokenCount": 75,
    "thoughtsTokenCount": 1200,
    "toolUsePromptTokenCount": 40,
    "totalTokenCount": 2015,
    "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 700}],
    "cacheTokensDetails": [{"modality": "TEXT", "tokenCount": 512}],
    "trafficType": "ON_DEMAND",
}


def refused(provider: str, raw: Raw) -> BadUsage:
    with pytest.raises(BadUsage) as caught:
        from_raw(provider, raw)
    return caught.value


# --- what providers send


def test_openai_chat_counts_cached_and_reasoning_inside() -> None:
    """Defect 40: cached tokens are part of OpenAI's input."""
    assert from_raw("openai", CHAT) == Totals(
        input_tokens=2006, cached_input_tokens=1920, output_tokens=1300, reasoning_tokens=1024
    )


def test_openai_responses_are_read_by_their_own_names() -> None:
    assert from_raw("openai", RESPONSES) == Totals(
        input_tokens=36,
        cached_input_tokens=0,
        cache_write_tokens=12,
        output_tokens=87,
        reasoning_tokens=0,
    )


def test_anthropic_input_is_the_sum_of_fresh_read_and_written() -> None:
    """Defect 40: Anthropic's input_tokens exclude the cache, so nothing is subtracted from them."""
    assert from_raw("anthropic", ANTHROPIC) == Totals(
        input_tokens=2098,
        cached_input_tokens=1800,
        cache_write_tokens=248,
        output_tokens=503,
        reasoning_tokens=120,
    )


def test_anthropic_cache_writes_may_come_split_by_lifetime_alone() -> None:
    split = {**ANTHROPIC, "cache_creation_input_tokens": None}
    assert from_raw("anthropic", split) == from_raw("anthropic", ANTHROPIC)
    del split["cache_creation_input_tokens"]
    assert from_raw("anthropic", split) == from_raw("anthropic", ANTHROPIC)


def test_gemini_adds_thoughts_to_output_and_tool_use_to_input() -> None:
    """Defect 40: cached content is part of Gemini's prompt, thoughts are not of its candidates."""
    assert from_raw("google", GEMINI) == Totals(
        input_tokens=740, cached_input_tokens=512, output_tokens=1275, reasoning_tokens=1200
    )


def test_gemini_is_read_in_snake_case_too() -> None:
    sdk = {
        "prompt_token_count": 700,
        "cached_content_token_count": 512,
        "candidates_token_count": 75,
        "thoughts_token_count": 1200,
        "tool_use_prompt_token_count": 40,
        "total_token_count": 2015,
        "cache_tokens_details": None,
    }
    assert from_raw("google", sdk) == from_raw("google", GEMINI)


def test_gemini_that_only_thought_has_used_output() -> None:
    cut = {"promptTokenCount": 9, "thoughtsTokenCount": 256, "totalTokenCount": 265}
    assert from_raw("google", cut) == Totals(input_tokens=9, output_tokens=256, reasoning_tokens=256)


def test_embeddings_say_nothing_of_output() -> None:
    assert from_raw("openai", {"prompt_tokens": 8, "total_tokens": 8}) == Totals(input_tokens=8)


def test_a_gateway_that_fills_both_kinds_of_openai_names_is_read_by_the_chat_ones() -> None:
    both = {**CHAT, "input_tokens": 0, "output_tokens": 0, "input_tokens_details": None}
    assert from_raw("openai", both) == from_raw("openai", CHAT)


# --- said, not said, zero


@pytest.mark.parametrize(
    ("provider", "raw"),
    [
        ("openai", {"prompt_tokens": 0, "completion_tokens": 0}),
        ("openai", {"input_tokens": 0, "output_tokens": 0}),
        ("anthropic", {"input_tokens": 0, "output_tokens": 0}),
        ("google", {"promptTokenCount": 0, "candidatesTokenCount": 0}),
    ],
)
def test_an_explicit_zero_stays_zero(provider: str, raw: Raw) -> None:
    """Defect 41."""
    assert from_raw(provider, raw) == Totals(input_tokens=0, output_tokens=0)


def test_an_explicit_zero_of_our_own_stays_zero_and_null_is_not_said() -> None:
    """Defect 41."""
    assert from_usage(dict.fromkeys(COUNTS, 0)) == Totals(**dict.fromkeys(COUNTS, 0))
    assert from_usage(dict.fromkeys(COUNTS)) == from_usage({}) == Totals()
    assert from_usage({"api_calls": 0}).api_calls == 0


@pytest.mark.parametrize(
    ("provider", "raw"),
    [
        (
            "openai",
            {
                "prompt_tokens": 7,
                "completion_tokens": 3,
                "prompt_tokens_details": None,
                "completion_tokens_details": {"reasoning_tokens": None},
            },
        ),
        ("openai", {"input_tokens": 7, "output_tokens": 3, "input_tokens_details": {}}),
        (
            "anthropic",
            {
                "input_tokens": 7,
                "cache_creation_input_tokens": None,
                "cache_read_input_tokens": None,
                "cache_creation": None,
                "output_tokens": 3,
            },
        ),
        (
            "google",
            {"promptTokenCount": 7, "candidatesTokenCount": 3, "cachedContentTokenCount": None},
        ),
    ],
)
def test_null_and_absent_details_are_not_said(provider: str, raw: Raw) -> None:
    assert from_raw(provider, raw) == Totals(input_tokens=7, output_tokens=3)


# --- streams


def test_the_last_snapshot_of_a_stream_is_the_total() -> None:
    """Defect 42: snapshots are totals so far, never deltas, and there is no way to add them."""
    snapshots = [
        {"promptTokenCount": 10, "candidatesTokenCount": 4, "totalTokenCount": 14},
        {"promptTokenCount": 10, "candidatesTokenCount": 9, "totalTokenCount": 19},
        {"promptTokenCount": 10, "candidatesTokenCount": 15, "totalTokenCount": 25},
    ]
    read = [from_raw("google", snapshot) for snapshot in snapshots]
    assert read[-1] == Totals(input_tokens=10, output_tokens=15)
    with pytest.raises(TypeError):
        read[0] + read[1]  # type: ignore[operator]  # the point of the test


def test_an_anthropic_stream_ends_in_a_delta_that_is_a_total() -> None:
    """Defect 42: message_delta carries cumulative counts beside those of message_start."""
    start = {"input_tokens": 25, "cache_read_input_tokens": 100, "output_tokens": 1}
    final = {**start, "output_tokens": 89}
    assert from_raw("anthropic", final) == Totals(input_tokens=125, cached_input_tokens=100, output_tokens=89)


# --- the oracle

MODELS = {"openai": "gpt-5", "anthropic": "claude-sonnet-4-5", "google": "gemini-2.5-pro"}
counts = st.integers(0, 10**6)


@st.composite
def raw_objects(draw: st.DrawFn) -> tuple[str, str, dict[str, Any]]:
    """(provider, genai-prices flavour, usage object), true to its provider's definitions."""
    fresh, read, written, said, thought = (draw(counts) for _ in range(5))
    kind = draw(st.sampled_from(["chat", "responses", "anthropic", "google"]))
    if kind == "anthropic":
        return (
            "anthropic",
            "default",
            {
                "input_tokens": fresh,
                "cache_read_input_tokens": read,
                "cache_creation_input_tokens": written,
                "output_tokens": said + thought,
                "output_tokens_details": {"thinking_tokens": thought},
            },
        )
    if kind == "google":
        return (
            "google",
            "default",
            {
                "promptTokenCount": fresh + read,
                "cachedContentTokenCount": read,
                "toolUsePromptTokenCount": written,
                "candidatesTokenCount": said,
                "thoughtsTokenCount": thought,
            },
        )
    into, out = ("prompt", "completion") if kind == "chat" else ("input", "output")
    return (
        "openai",
        kind,
        {
            f"{into}_tokens": fresh + read + written,
            f"{into}_tokens_details": {"cached_tokens": read, "cache_write_tokens": written},
            f"{out}_tokens": said + thought,
            f"{out}_tokens_details": {"reasoning_tokens": thought},
        },
    )


def assert_like_the_oracle(provider: str, flavour: str, raw: Raw) -> None:
    response = {
        "model": MODELS[provider],
        "modelVersion": MODELS[provider],
        "usage": raw,
        "usageMetadata": raw,
    }
    oracle = extract_usage(response, provider_id=provider, api_flavor=flavour).usage
    totals = from_raw(provider, raw)
    for ours, theirs in (
        (totals.input_tokens, "input_tokens"),
        (totals.cached_input_tokens, "cache_read_tokens"),
        (totals.cache_write_tokens, "cache_write_tokens"),
        (totals.output_tokens, "output_tokens"),
        (totals.reasoning_tokens, "output_reasoning_tokens"),
    ):
        assert (ours or 0) == oracle.reported_value(theirs), theirs


@given(raw_objects())
def test_totals_agree_with_genai_prices(sample: tuple[str, str, dict[str, Any]]) -> None:
    """Defect 40."""
    assert_like_the_oracle(*sample)


@pytest.mark.parametrize(
    ("provider", "flavour", "raw"),
    [
        ("openai", "chat", CHAT),
        ("openai", "responses", RESPONSES),
        ("anthropic", "default", ANTHROPIC),
        ("google", "default", GEMINI),
    ],
)
def test_the_recorded_objects_agree_with_genai_prices(provider: str, flavour: str, raw: Raw) -> None:
    """Defect 40."""
    assert_like_the_oracle(provider, flavour, raw)


# --- nonsense


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


names = st.sampled_from(
    [*COUNTS, *CHAT, *RESPONSES, *ANTHROPIC, *GEMINI, "cached_tokens", "reasoning_tokens"]
)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3)
values = scalars | st.lists(scalars, max_size=2) | st.dictionaries(names, scalars, max_size=3)


@given(st.sampled_from(PROVIDERS), st.dictionaries(names, values, max_size=6))
def test_any_json_gives_totals_or_a_refusal(provider: str, sent: dict[str, object]) -> None:
    for read in (from_usage, partial(from_raw, provider)):
        with suppress(BadUsage):
            assert isinstance(read(sent), Totals)
