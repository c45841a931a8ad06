"""Texts that the database keeps and cannot read: they are encrypted by ENCRYPTION_KEYS."""

from dataclasses import dataclass, field
from typing import Any, Self

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.expressions import Expression


class CannotDecrypt(RuntimeError):
    """What was encrypted, or is to be, has no key among ENCRYPTION_KEYS."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """An encrypted text. It is opened only where it is used, so neither a page nor a log line can show it."""

    ciphertext: str = field(repr=False)

    @classmethod
    def of(cls, text: str) -> Self:
        """Encrypt a text by the newest key. Raises CannotDecrypt where there is none."""
        return cls(_keys().encrypt(text.encode()).decode())

    def open(self) -> str:
        """The text. Raises CannotDecrypt."""
        try:
            return _keys().decrypt(self.ciphertext.encode()).decode()
        except InvalidToken:
            raise CannotDecrypt("None of ENCRYPTION_KEYS is the key of this text.") from None

    @property
    def is_newest(self) -> bool:
        """Whether the first of ENCRYPTION_KEYS encrypted it."""
        try:
            Fernet(_first_key()).decrypt(self.ciphertext.encode())
        except InvalidToken:
            return False
        return True

    def resealed(self) -> Self | None:
        """The same text encrypted by the first of ENCRYPTION_KEYS; None where none of them opens it."""
        try:
            return type(self)(_keys().rotate(self.ciphertext.encode()).decode())
        except InvalidToken:
            return None


class SealedField(models.TextField[Sealed, Sealed]):
    """A column of Sealed texts. It takes nothing else: a text that was not encrypted is never written."""

    def from_db_value(self, value: str | None, _expression: Expression, _connection: BaseDatabaseWrapper) -> Any:  # noqa: ANN401 - None stays None
        return None if value is None else Sealed(value)

    def to_python(self, value: Any) -> Any:  # noqa: ANN401 - Field's
        return Sealed(value) if isinstance(value, str) else value

    def get_prep_value(self, value: Any) -> Any:  # noqa: ANN401 - Field's
        if value is None:
            return None
        if not isinstance(value, Sealed):
            raise TypeError("Only a Sealed text is stored here.")
        return value.ciphertext


def _keys() -> MultiFernet:
    _first_key()
    return MultiFernet([Fernet(key) for key in settings.ENCRYPTION_KEYS])


def _first_key() -> str:
    if not settings.ENCRYPTION_KEYS:
        raise CannotDecrypt("ENCRYPTION_KEYS is not set.")
    return settings.ENCRYPTION_KEYS[0]
