"""The console's pages of usage: to look at, never to change. The ledger alone writes these rows."""

from usage.admin import calendar, denial, estimate, event, log, meter, reservation, retention, rollup  # noqa: F401 - registers them
