"""Pieces of Markdown, and what docstrings say."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Sequence

NOTE = "<!-- Written by `python -m docs.generator`; change the code that it describes instead. -->"


def page(title: str, *parts: str) -> str:
    """A page: its title, a note of where it comes from, and its parts with empty lines between them."""
    return "\n\n".join((f"# {title}", NOTE, *(part.strip("\n") for part in parts if part))) + "\n"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; empty where it has no rows."""
    lines = [f"| {' | '.join(cell(text) for text in row)} |" for row in rows]
    return "\n".join([f"| {' | '.join(header)} |", f"|{' --- |' * len(header)}", *lines]) if lines else ""


def cell(text: str) -> str:
    """A text as it stands in a table."""
    return " ".join(text.split()).replace("|", "\\|")


def code(value: object) -> str:
    """A value as YAML and the command line have it."""
    return f"`{plain(value)}`"


def plain(value: object) -> str:
    """A value as YAML has it, on one line."""
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "none"}[value]
    if isinstance(value, list | tuple):
        return "[" + ", ".join(plain(one) for one in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {plain(one)}" for key, one in value.items()) + "}"
    return number(value) if isinstance(value, float) else str(value) or '""'


def number(value: float) -> str:
    """A number as it is written, whole ones without a point."""
    return str(int(value)) if float(value).is_integer() else f"{value:g}"


def sentence(text: str) -> str:
    """A description as a sentence; a name at its beginning stays as it is written."""
    text = text.strip()
    begins = text[:1] if re.match(r"\w+[:;]|\w+[A-Z]", text) else text[:1].upper()
    return begins + text[1:] + ("" if text.endswith((".", "?", "!")) else ".") if text else ""


def prose(text: str) -> str:
    """A docstring's text as Markdown: roles become code, and so does what reStructuredText has as such."""
    text = re.sub(r":\w+:`~(?:[\w.]+\.)?(\w+)`", r"`\1`", text)
    return re.sub(r":\w+:`([\w.]+)`", r"`\1`", text).replace("``", "`")


def first_paragraph(thing: object) -> str:
    """The first paragraph of a thing's own docstring."""
    return prose(" ".join((inspect.getdoc(thing) or "").split("\n\n")[0].split()))


def arguments_of(thing: type) -> dict[str, str]:
    """What the docstrings of a class and its bases say of their arguments, by name."""
    found: dict[str, str] = {}
    for base in reversed(thing.__mro__):
        section = re.search(r"^Args:\n((?:    .*\n|\n)*)", f"{inspect.cleandoc(base.__doc__ or '')}\n", re.MULTILINE)
        for entry in re.split(r"\n    (?=\S)", f"\n{section[1]}" if section else "")[1:]:
            name, _, text = entry.partition(":")
            found[name] = prose(" ".join(text.split()))
    return found
