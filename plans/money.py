"""Amounts of money: nano-USD (10^-9 USD) inside, decimal strings in USD at the edges."""

import re

MAX_AMOUNT_NANO_USD = 10**18

_NANO = 10**9
_DECIMAL = re.compile(r"(-?)([0-9]{1,10})(?:\.([0-9]{1,9}))?")


def usd(nano: int) -> str:
    """An amount as a decimal string: exact, without exponent, with 2 to 9 decimals."""
    whole, rest = divmod(abs(nano), _NANO)
    sign = "-" if nano < 0 else ""
    return f"{sign}{whole}.{f'{rest:09}'.rstrip('0'):0<2}"


def nano_usd(text: str, *, allow_negative: bool = False) -> int:
    """The amount that a plain decimal string such as "12.5" says, exactly.

    ValueError for more than 9 decimals, an exponent, NaN, spaces, more than MAX_AMOUNT_NANO_USD,
    or a sign where negative amounts are not allowed.
    """
    match = _DECIMAL.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not an amount in USD with at most 9 decimals")
    sign, whole, decimals = match.groups(default="")
    if sign and not allow_negative:
        raise ValueError("the amount is negative")
    nano = int(whole) * _NANO + int(decimals.ljust(9, "0"))
    if nano > MAX_AMOUNT_NANO_USD:
        raise ValueError(f"the amount exceeds {usd(MAX_AMOUNT_NANO_USD)}")
    return -nano if sign else nano
