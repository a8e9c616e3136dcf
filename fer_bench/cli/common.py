"""Options that many verbs share: ``--scratch`` and ``--import``. They act before the verb begins, so that no verb needs
to know of them.
"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from fer_bench import paths, plugins

# Verbs that write no record, or use no name that a plugin could provide.
_WITHOUT = {
    "scratch": ("doctor", "audit", "download", "pack"),
    "imports": (
        "leaderboard",
        "compare",
        "report",
        "doctor",
        "download",
        "human-baseline",
        "humans",
        "cross-dataset",
        "matrix",
    ),
}
_SCRATCH = (
    "Read and write records, boards and runs in a separate folder; the project's records can be used, and are not"
    " changed."
)
_IMPORT = "Import a module first, for the names that it registers; repeatable."


def add_common_options(command: Any, name: str) -> None:
    """Give a verb the shared options.

    Args:
        command: of click; is changed, once.
        name: of the verb.
    """
    own = {parameter.name for parameter in command.params}
    for option in _options():
        if option.name not in own and name not in _WITHOUT[option.name]:
            option.expose_value = False
            command.params.append(option)


def _options() -> list[Any]:
    """As click's objects; typer makes them, for their class is another from version to version."""
    shared = typer.Typer(add_completion=False)
    shared.command()(_shared)
    return [parameter for parameter in typer.main.get_command(shared).params if parameter.name in _WITHOUT]


def _use_scratch(context: typer.Context, value: bool) -> None:
    if value:
        context.with_resource(paths.scratch())


def _import(value: list[str]) -> None:
    for name in value or ():
        plugins.import_module(name)


def _shared(
    scratch: Annotated[bool, typer.Option("--scratch", is_eager=True, callback=_use_scratch, help=_SCRATCH)] = False,
    imports: Annotated[
        list[str] | None, typer.Option("--import", metavar="MODULE", callback=_import, help=_IMPORT)
    ] = None,
) -> None:
    """Holds the options."""
