"""``fer-bench``: the verbs. Nothing heavy is imported before a verb needs it."""

from __future__ import annotations

import errno
import os
import signal
import sys
import threading
import warnings
from typing import Any, TextIO

import typer
from typer.core import TyperGroup

from fer_bench import __version__
from fer_bench.cli import (
    annotate,
    clean,
    cost,
    ensemble,
    evaluate,
    export,
    hub,
    inspect,
    live,
    pack,
    probe,
    report,
    reproduce,
    results,
    site,
    study,
    submit,
    suite,
    train,
    tune,
    weights,
)
from fer_bench.cli.common import add_common_options
from fer_bench.errors import FerBenchError, Notice, Stopped
from fer_bench.packages import explain


class Verbs(TyperGroup):
    """The verbs; says of a keyboard interrupt what to do next, which typer by itself ends without a word."""

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """A verb, with the options that all such verbs have."""
        command = super().get_command(ctx, cmd_name)
        if command is not None and not isinstance(command, TyperGroup):
            add_common_options(command, cmd_name)
        return command

    def invoke(self, ctx: Any) -> Any:
        """Carry out a verb."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            problem = "stopped."
            raise Stopped(problem, "Run the same command again to resume.") from None


app = typer.Typer(
    name="fer-bench",
    cls=Verbs,
    help="Benchmarks for facial-expression and affect recognition: train, test once, and rank what can be recomputed.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
_FULL = (errno.ENOSPC, errno.EDQUOT)


@app.callback(invoke_without_command=True)
def version_option(version: bool = typer.Option(False, "--version", help="Show the version.", is_eager=True)) -> None:
    """Benchmarks for facial-expression and affect recognition: train, test once, and rank what can be recomputed."""
    if version:
        typer.echo(__version__)
        raise typer.Exit


for module in (
    train,
    tune,
    suite,
    probe,
    evaluate,
    live,
    export,
    weights,
    hub,
    ensemble,
    submit,
    report,
    reproduce,
    cost,
    results,
    inspect,
    pack,
    clean,
    study,
):
    module.add_verbs(app)
app.add_typer(annotate.app, name="annotate")
app.add_typer(site.app, name="site")


def main() -> None:
    """Entry point: errors that a user can act on become one line and an exit code."""
    _say_notices()
    try:
        # By itself click would call it `python -m fer_bench.fer-bench` there, which nobody can type.
        app(prog_name="fer-bench", standalone_mode=True)
    except FerBenchError as error:
        _end(str(error), error.exit_code)
    except BrokenPipeError:
        # The reader (head, less) has gone; that is no error.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except ImportError as error:
        missing = explain(error)
        if missing is None:
            raise
        _end(str(missing), missing.exit_code)
    except OSError as error:
        if error.errno is None:
            raise
        _end(_of_system(error), FerBenchError.exit_code)


def _say_notices() -> None:
    """What a record's reader gives as a warning is one line of ours, not one with the place in the code."""
    before = warnings.showwarning

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        if issubclass(category, Notice):
            print(f"fer-bench: notice: {message}", file=sys.stderr)
        else:
            before(message, category, filename, lineno, file, line)

    warnings.showwarning = show
    warnings.simplefilter("default", Notice)


def _of_system(error: OSError) -> str:
    """What the operating system refused, where, and what to do next."""
    where = error.filename or "while writing"
    if error.errno in _FULL:
        return f"the disk is full ({where}). Free some space and run the same command again."
    if error.errno == errno.EFBIG:
        return (
            f"a file would become larger than this shell or file system allows ({where}). Raise the limit (ulimit -f),"
            " or use another folder, and try again."
        )
    if error.errno == errno.EISDIR and error.filename:
        return f"{error.filename} is a folder. Give the name of a file, and run the same command again."
    at = f"{error.filename}: " if error.filename else ""
    return (
        f"{at}{error.strerror or error}. Check the path, its permissions and the limits of this shell (ulimit -a), and"
        " run the same command again."
    )


def _let_the_next_interrupt_kill() -> None:
    """A second Ctrl-C while the interpreter shuts down should end it, without a traceback of the shutdown; all
    files are in place or not at all.
    """
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    # Meanwhile it may fall into a destructor, whose errors Python prints in full.
    before = sys.unraisablehook
    sys.unraisablehook = lambda found: None if found.exc_type is KeyboardInterrupt else before(found)


def _end(line: str, code: int) -> None:
    """Say the one line, and leave."""
    if code > FerBenchError.exit_code:
        _let_the_next_interrupt_kill()
    print(f"fer-bench: {line}", file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    main()
