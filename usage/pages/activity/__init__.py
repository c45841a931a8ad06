"""What was called and what was refused, row by row."""
