"""``fer-bench``: the verbs. Nothing heavy is imported before a verb needs it."""

from __future__ import annotations

import os
import sys

import typer

from fer_bench import __version__
from fer_bench.cli import annotate, ensemble, evaluate, export, live, look, probe, report, results, study, train
from fer_bench.errors import FerBenchError

app = typer.Typer(
    name="fer-bench",
    help="Benchmarks for facial-expression and affect recognition: train, test once, and rank what can be recomputed.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.callback(invoke_without_command=True)
def version_option(version: bool = typer.Option(False, "--version", help="Show the version.", is_eager=True)) -> None:
    """Benchmarks for facial-expression and affect recognition: train, test once, and rank what can be recomputed."""
    if version:
        typer.echo(__version__)
        raise typer.Exit


for module in (train, probe, evaluate, live, export, ensemble, report, results, look, study):
    module.add_verbs(app)
app.add_typer(annotate.app, name="annotate")


def main() -> None:
    """Entry point: errors that a user can act on become one line and an exit code."""
    try:
        app(standalone_mode=True)
    except FerBenchError as error:
        print(f"fer-bench: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        print("fer-bench: stopped. The same command goes on from the last epoch.", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        # The reader (head, less) has gone; that is no error.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        if error.errno not in (28, 122):
            raise
        print(f"fer-bench: the disk is full ({error.filename or 'while writing'}). Free some space and give the same command again.", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
