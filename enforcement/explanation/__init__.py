"""A decision told gate by gate, from what was recorded when it was made, or from what a check would answer."""

from enforcement.explanation.answer import Checked, Explanation, Gate, SourceRule, Verdict
from enforcement.explanation.tale import Tale
from enforcement.explanation.telling import GATE_OF, explain

__all__ = ["GATE_OF", "Checked", "Explanation", "Gate", "SourceRule", "Tale", "Verdict", "explain"]
