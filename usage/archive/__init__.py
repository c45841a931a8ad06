"""Months of the log in Parquet files: written, compared with the database row by row, then taken out of it."""
