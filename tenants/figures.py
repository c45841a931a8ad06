"""Figures as people read them: thousands separated, money in USD, "unlimited" said in words."""

UNLIMITED = "unlimited"
UNKNOWN = "–"
_NANO = 10**9


def number(value: int | None, missing: str = UNKNOWN) -> str:
    """1234567 as “1,234,567”; None as `missing`, 0 as “0”."""
    return missing if value is None else f"{value:,}"


def limit(value: int | None) -> str:
    """A limit: None as “unlimited”, 0 as “0”."""
    return number(value, UNLIMITED)


def usd(nano: int | None, missing: str = UNKNOWN) -> str:
    """Nano-USD as dollars with all the digits they have, two at least: 1500000000 as “1.50”."""
    if nano is None:
        return missing
    whole, part = divmod(abs(nano), _NANO)
    digits = f"{part:09d}".rstrip("0").ljust(2, "0")
    return f"{'-' if nano < 0 else ''}{whole:,}.{digits}"


def budget(nano: int | None) -> str:
    """A limit on money in dollars: None as “unlimited”."""
    return usd(nano, UNLIMITED)
