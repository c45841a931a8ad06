"""How a plan changes: another revision is drafted, checked, published to those who hold the one before, rolled back."""

from plans.publishing.changes import Change, diff
from plans.publishing.check import contradictions
from plans.publishing.contradiction import Contradiction, Kind
from plans.publishing.moves import Group, Move, grouped
from plans.publishing.revisions import (
    Contradicted,
    Published,
    PublishingError,
    When,
    affected,
    affected_by_rollback,
    draft,
    publish,
    rollback,
    simulated,
)

__all__ = [
    "Change", "Contradicted", "Contradiction", "Group", "Kind", "Move", "Published", "PublishingError", "When",
    "affected", "affected_by_rollback", "contradictions", "diff", "draft", "grouped", "publish", "rollback",
    "simulated",
]  # fmt: skip
