"""What models ask of the database by a short name: closed sets, and fields that stay as they are."""

import pgtrigger
from django.db import models
from django.db.models import Q


def one_of(field: str, choices: type[models.TextChoices], name: str) -> models.CheckConstraint:
    """The CHECK that closes a set of choices in the database."""
    return models.CheckConstraint(condition=Q(**{f"{field}__in": choices.values}), name=name)


def closed(name: str, **sets: type[models.TextChoices]) -> pgtrigger.Trigger:
    """As `one_of` for the keys of a row whose numbers are updated all the time.

    PostgreSQL evaluates each CHECK of a row at every update of it, whatever it changes; this looks at these fields.
    """
    outside = " OR ".join(
        f"NEW.{field} NOT IN ({', '.join(repr(value) for value in choices.values)})" for field, choices in sets.items()
    )
    return pgtrigger.Trigger(
        name=name,
        when=pgtrigger.After,
        operation=pgtrigger.Insert | pgtrigger.UpdateOf(*sets),
        condition=pgtrigger.Condition(outside),
        func=f"""
            RAISE EXCEPTION 'A row of % has a value outside its closed set.', TG_TABLE_NAME
                USING ERRCODE = 'check_violation', CONSTRAINT = '{name}';
        """,
    )


def kept(*fields: str, name: str) -> pgtrigger.Trigger:
    """Refuses to change these fields of a stored row.

    After the update, because a trigger before it locks the row as if the keys it sets were changed, as every
    form does: who refers to the row would wait for the form, and the form for their configuration number.
    """
    return pgtrigger.ReadOnly(name=name, fields=[*fields], when=pgtrigger.After)
