"""Pages of the console that are about no single row: why a decision was made, and how the roll-out stands."""
