"""Every error that a user can cause: what is wrong, where, and what to do next.

The command line prints ``str(error)`` on one line and exits with ``error.exit_code``; tracebacks are only for bugs in
this package.
"""

from __future__ import annotations


class FerBenchError(Exception):
    """Base of all errors that a user can act on.

    Args:
        problem: what is wrong, and where (file, line, key).
        hint: what to do next.
    """

    exit_code = 2

    def __init__(self, problem: str, hint: str = "") -> None:
        self.problem = problem
        self.hint = hint
        super().__init__(f"{problem} {hint}".strip())


class UnknownNameError(FerBenchError):
    """A dataset, model, task, loss, ... that is not registered.

    Args:
        problem: as of every error.
        hint: as of every error.
        kind: what was looked up, in the singular ("model").
    """

    def __init__(self, problem: str, hint: str = "", kind: str = "") -> None:
        self.kind = kind
        super().__init__(problem, hint)


class SpecError(FerBenchError):
    """A setting that cannot be used: an unknown key, a value out of range, an invalid combination."""


class MissingDataError(FerBenchError):
    """The files of a dataset are not where they were looked for."""


class BadDataError(FerBenchError):
    """Files exist, but do not follow their format."""


class WeightsError(FerBenchError):
    """Pretrained weights or a checkpoint are not available or do not fit."""


class RecordError(FerBenchError):
    """A record or a predictions file is damaged, or does not match what it claims."""


class NewerRecordError(RecordError):
    """A record of a schema that only newer versions read: neither damaged nor missing, so it is never
    overwritten.
    """


class HardwareError(FerBenchError):
    """The machine lacks a resource (an accelerator, disk space)."""


class OutOfMemory(HardwareError):
    """A run does not fit into the memory that there is for it."""


class RunInProgress(FerBenchError):
    """Another process is carrying out the same run."""


class MissingPackageError(FerBenchError):
    """An optional package is required."""


class RunNanError(FerBenchError):
    """The loss became NaN or infinite: recorded as status ``nan``, never ranked."""

    exit_code = 1


class Interrupted(FerBenchError):
    """A run was stopped before its last epoch; its progress is kept."""

    exit_code = 143


class Stopped(Interrupted):
    """The user pressed Ctrl-C."""

    exit_code = 130


class VerificationError(FerBenchError):
    """A published number does not follow from its predictions."""

    exit_code = 1


class Notice(Warning):
    """What a user should know and nothing stops for; verbs show it as one line."""


class UnknownFieldsWarning(Notice):
    """Records hold fields that this version does not know; they are kept."""


class PluginWarning(Notice):
    """Code from outside the package that would be used everywhere is left out, because it cannot be used."""


class DamagedFileWarning(Notice):
    """A file that others can do without is damaged, and left out or made anew."""


class LoggerWarning(Notice):
    """A logger has failed; the run continues without it."""


class PluginError(FerBenchError):
    """A plugin cannot be imported, or does not meet the contract of its kind."""
