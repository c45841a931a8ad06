"""What models ask of the database by a short name: closed sets, and fields that stay as they are."""

import pgtrigger
from django.db import models
from django.db.models import Q


def one_of(field: str, choices: type[models.TextChoices], name: str) -> models.CheckConstraint:
    """The CHECK that closes a set of choices in the database."""
    return models.CheckConstraint(condition=Q(**{f"{field}__in": choices.values}), name=name)


def closed(field: str, choices: type[models.TextChoices], name: str) -> pgtrigger.Trigger:
    """As `one_of` for a key of rows whose numbers are updated all the time.

    PostgreSQL evaluates each CHECK of a row at every update of it, whatever it changes; this one looks at its field.
    """
    values = ", ".join(f"'{value}'" for value in choices.values)
    return pgtrigger.Trigger(
        name=name,
        when=pgtrigger.After,
        operation=pgtrigger.Insert | pgtrigger.UpdateOf(field),
        condition=pgtrigger.Condition(f"NEW.{field} NOT IN ({values})"),
        func=f"""
            RAISE EXCEPTION '% is not among the values of {field}.', NEW.{field}
                USING ERRCODE = 'check_violation', CONSTRAINT = '{name}';
        """,
    )


def kept(*fields: str, name: str) -> pgtrigger.Trigger:
    """Refuses to change these fields of a stored row.

    After the update, because a trigger before it locks the row as if the keys it sets were changed, as every
    form does: who refers to the row would wait for the form, and the form for their configuration number.
    """
    return pgtrigger.ReadOnly(name=name, fields=[*fields], when=pgtrigger.After)
