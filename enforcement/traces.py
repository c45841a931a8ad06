"""Traces of calls: the rows of a file, or rows drawn from documented distributions."""

import csv
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import ceil
from pathlib import Path
from typing import IO

TIMESTAMP, INPUT, OUTPUT = "TIMESTAMP", "ContextTokens", "GeneratedTokens"
MOST_TOKENS = 10**9  # what one count of the API may be
LONGEST = timedelta(days=3_660)

# Fitted to the "code" trace of Azure LLM inference 2023 (8,819 calls in 3,436 s; Patel et al., "Splitwise", ISCA
# 2024): mean and deviation of the logarithm, and the largest value seen, which cuts the tail off.
INPUT_TOKENS = (6.999, 1.360, 7_437)
OUTPUT_TOKENS = (2.788, 0.847, 1_899)
CALLS_PER_SECOND = 2.567


class BadTrace(Exception):
    """A trace that cannot be read; the message names the file, and the row and column where there is one."""


@dataclass(frozen=True, slots=True)
class Row:
    """One call of a trace: its number from 1 on, when it came after the first, and its tokens."""

    number: int
    after_seconds: float
    input_tokens: int
    output_tokens: int


def read(path: Path) -> list[Row]:
    """The rows of a CSV file with the columns TIMESTAMP, ContextTokens, GeneratedTokens. Raises BadTrace."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(_rows(path, file))
    except OSError as problem:
        raise BadTrace(f"{path}: {problem.strerror or problem}.") from None
    except (UnicodeDecodeError, csv.Error) as problem:
        raise BadTrace(f"{path} is not a CSV file in UTF-8: {problem}.") from None
    if not rows:
        raise BadTrace(f"{path} has no rows under its header.")
    return rows


def _rows(path: Path, file: IO[str]) -> Iterator[Row]:
    reader = csv.DictReader(file)
    missing = [name for name in (TIMESTAMP, INPUT, OUTPUT) if name not in (reader.fieldnames or ())]
    if missing:
        found = ", ".join(reader.fieldnames or ()) or "nothing"
        raise BadTrace(f"{path}: its first line has no column {', '.join(missing)}. It has: {found}.")
    first: datetime | None = None
    last: datetime | None = None
    for number, values in enumerate(reader, start=1):
        where = f"{path}, row {number} (line {reader.line_num})"
        at = _instant(where, values)
        first, last = first or at, last or at
        if at < last:
            raise BadTrace(f"{where}, column {TIMESTAMP}: it is before the row above it. Sort the rows by time.")
        if at - first > LONGEST:
            raise BadTrace(f"{where}, column {TIMESTAMP}: it is more than {LONGEST.days:,} days after the first row.")
        last = at
        yield Row(
            number, (at - first).total_seconds(), _tokens(where, values, INPUT), _tokens(where, values, OUTPUT)
        )  # fmt: skip


def _instant(where: str, values: Mapping[str, str | None]) -> datetime:
    text = values[TIMESTAMP] or ""
    try:
        at = datetime.fromisoformat(text.strip())
    except ValueError:
        raise BadTrace(f"{where}, column {TIMESTAMP}: {text!r} is not a date and time.") from None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _tokens(where: str, values: Mapping[str, str | None], column: str) -> int:
    text = (values[column] or "").strip()
    if not (text.isascii() and text.isdigit()) or len(text) > 10 or int(text) > MOST_TOKENS:
        raise BadTrace(f"{where}, column {column}: {text!r} is not a whole number from 0 to {MOST_TOKENS:,}.")
    return int(text)


def synthetic(count: int, seed: int) -> list[Row]:
    """`count` rows: log-normal tokens and Poisson arrivals; the same seed draws the same rows."""
    draw = random.Random(seed)  # noqa: S311 - nothing secret
    rows, at = [], 0.0
    for number in range(1, count + 1):
        rows.append(Row(number, at, _lognormal(draw, *INPUT_TOKENS), _lognormal(draw, *OUTPUT_TOKENS)))
        at += draw.expovariate(CALLS_PER_SECOND)
    return rows


def _lognormal(draw: random.Random, mean: float, deviation: float, most: int) -> int:
    return min(most, max(1, round(draw.lognormvariate(mean, deviation))))


def percentile(values: Sequence[float], percent: int) -> float:
    """The smallest value that `percent` of the values do not exceed (nearest rank); 0 where there are none."""
    ranked = sorted(values)
    return ranked[max(0, ceil(len(ranked) * percent / 100) - 1)] if ranked else 0
