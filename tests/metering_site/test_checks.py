"""`manage.py check`, as it runs before there is anything in the database."""

from django.core.management import call_command


def test_the_checks_ask_nothing_of_a_database_that_is_still_empty() -> None:
    """They come before `migrate`. An action's permission given by its full name, say, would read a table."""
    call_command("check")  # a test without the `db` fixture may not query
