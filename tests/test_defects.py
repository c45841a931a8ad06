"""Each known defect of earlier systems of this kind has a test here whose docstring names its number.

The numbers are those of the list that the project was specified with. To see the tests of one: run this file with
`-rA`, or search the tests for “Defect 36”.
"""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
DEFECTS = range(1, 54)
WAITING = {
    13: "web routes that are metered by the framework",
    34: "the router over providers",
}
"""Those of parts that are not there yet. A part that arrives takes its number out."""

_NAMED = re.compile(r"[Dd]efects?((?:\s+(?:and\s+)?\d+(?:\s*\([^)]*\))?[,;]?)+)")


def _tests() -> Iterator[tuple[str, str]]:
    """Every test with its docstring."""
    for path in sorted(TESTS.rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                yield f"{path.relative_to(TESTS)}::{node.name}", ast.get_docstring(node) or ""


def _by_defect() -> dict[int, list[str]]:
    found: defaultdict[int, list[str]] = defaultdict(list)
    for name, said in _tests():
        for numbers in _NAMED.findall(said):
            for number in re.findall(r"\d+", re.sub(r"\([^)]*\)", "", numbers)):
                found[int(number)].append(name)
    return found


NAMED = _by_defect()


@pytest.mark.parametrize("number", [number for number in DEFECTS if number not in WAITING])
def test_a_defect_has_a_test_that_names_it(number: int) -> None:
    assert NAMED[number]
    print(f"Defect {number}:", *NAMED[number], sep="\n  ")  # noqa: T201 - for -rA


def test_no_test_names_a_defect_that_is_not_on_the_list_or_still_waits() -> None:
    assert [number for number in NAMED if number not in DEFECTS or number in WAITING] == []


def test_no_database_is_mocked() -> None:
    """Defect 35: tests on mocked databases, so that overspending went unseen."""
    sources = {path: path.read_text() for path in TESTS.rglob("*.py") if path != Path(__file__)}
    assert [path.name for path, text in sources.items() if re.search(r"unittest\.mock|\bMagicMock\b", text)] == []
