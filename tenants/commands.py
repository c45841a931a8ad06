"""What the commands of all apps share: help as it is written, bars and tables, numbers within bounds, a tenant."""

import argparse
import shutil
from collections.abc import Callable
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console, RenderableType
from rich.progress import Progress, ProgressColumn

from tenants.models import Tenant


class TeachingCommand(BaseCommand):
    """A command whose help keeps its paragraphs and examples."""

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:  # noqa: ANN401 - Django's signature
        kwargs["formatter_class"] = argparse.RawDescriptionHelpFormatter
        return super().create_parser(prog_name, subcommand, **kwargs)


def bar(*columns: ProgressColumn) -> Progress:
    """A bar on the terminal, and nothing where there is none."""
    console = Console(stderr=True)
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


def printed(*parts: RenderableType, width: int = 160) -> str:
    """Tables and texts as wide as the terminal, or `width` where there is none."""
    console = Console(width=shutil.get_terminal_size((width, 24)).columns)
    with console.capture() as captured:
        for part in parts:
            console.print(part)
    return captured.get()


def number(least: int, most: int) -> Callable[[str], int]:
    """The type of an argument that is a whole number within bounds."""

    def parse(text: str) -> int:
        found = int(text)
        if not least <= found <= most:
            raise argparse.ArgumentTypeError(f"{text} is not from {least:,} to {most:,}")
        return found

    parse.__name__ = "number"  # what argparse calls a text that is none
    return parse


def tenant_named(ati_id: str) -> Tenant:
    """The tenant an argument names. Raises CommandError."""
    try:
        return Tenant.objects.get(ati_id=ati_id)
    except Tenant.DoesNotExist:
        raise CommandError(f"There is no tenant {ati_id}.") from None
