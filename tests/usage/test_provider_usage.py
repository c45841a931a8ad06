"""Usage objects as providers really send them, read by each one's own definitions."""

from collections.abc import Mapping
from typing import Any

import pytest
from genai_prices import extract_usage
from hypothesis import given
from hypothesis import strategies as st

from tests.usage.provider_objects import ANTHROPIC, CHAT, GEMINI, RESPONSES
from usage.measures import Totals, from_raw

Raw = Mapping[str, Any]  # a provider's JSON


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
        cache_write_1h_tokens=100,
        web_searches=1,
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
