"""The command line, from the typer application: every verb with its arguments and options."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import typer
import typer.main

from fer_bench.cli.main import app

from .markdown import cell, page, sentence, table

_INTRODUCTION = """
`fer-bench VERB --help` says the same. A mistake is answered in one line and with exit code 2: what is wrong, where, and
what to do next.
"""


def verbs(group: Any = None, before: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """All verbs that the help shows, those of groups with their group's name before them."""
    group = group or typer.main.get_command(app)
    context = typer.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if hasattr(command, "list_commands"):
            yield from verbs(command, (*before, name))
        elif not command.hidden:
            yield " ".join((*before, name)), command


def commands_page() -> str:
    """The page."""
    found = list(verbs())
    overview = table(
        ("Verb", ""),
        ((f"[`{name}`](#{anchor(name)})", sentence(_about(command))) for name, command in found),
    )
    return page("Command line", _INTRODUCTION, overview, *(_verb(name, command) for name, command in found))


def _about(command: Any) -> str:
    return cell((command.help or "").split("\n\n")[0])


def anchor(verb: str) -> str:
    """The end of the address of a verb's section."""
    return f"fer-bench-{verb.replace(' ', '-')}"


def _verb(name: str, command: Any) -> str:
    context = typer.Context(command, info_name=f"fer-bench {name}")
    usage = " ".join(["fer-bench", name, *command.collect_usage_pieces(context)])
    groups: dict[str, list[tuple[str, str]]] = {}
    for parameter in command.get_params(context):
        shown = parameter.get_help_record(context)
        if shown is None or parameter.name == "help":
            continue
        usual = "Arguments" if parameter.param_type_name == "argument" else "Options"
        groups.setdefault(getattr(parameter, "rich_help_panel", None) or usual, []).append(shown)
    parts = [f"## fer-bench {name}", f"```text\n{usage}\n```", (command.help or "").strip()]
    # Arguments first, and options without a group last, as in the help.
    for title, shown_ones in sorted(groups.items(), key=lambda one: (one[0] == "Options", one[0] != "Arguments")):
        header = (title, "")
        parts.append(table(header, ((f"`{left}`", right) for left, right in shown_ones)))
    return "\n\n".join(part for part in parts if part)
