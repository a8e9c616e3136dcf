"""A network of the hub, loaded without running anything that its repository says."""

from __future__ import annotations

from collections.abc import Iterator

from fer_bench import plugins
from fer_bench.deploy.hub.config import CONFIG, RECORD, WEIGHTS, read_config, require_files
from fer_bench.deploy.hub.reference import read_place
from fer_bench.deploy.probe import TrainedProbe, load_probe, require_named_backbones
from fer_bench.errors import BadDataError, NewerRecordError, PluginError, RecordError
from fer_bench.metric_plugins import STATED
from fer_bench.models.hub_files import hub_folder
from fer_bench.probes.kept_heads import head_from_file
from fer_bench.results.record import Record
from fer_bench.results.store import Store
from fer_bench.spec import Execution
from fer_bench.training.loading import Trained, load_record
from fer_bench.untrusted import shown

_HINT = "Try again with a network; what was loaded once is in the hub's cache."
_FILES = (CONFIG, RECORD, WEIGHTS)


def load_from_hub(reference: str, execution: Execution | None = None) -> Trained | TrainedProbe:
    """Load a network that ``fer-bench push`` has pushed; of a probe the head, and its backbones by their names.

    Args:
        reference: ``hf:ORG/NAME``, or ``hf:ORG/NAME@REVISION``; without a revision what is in the cache is taken as it
            is.
        execution: dataset root directory and device, for later use.

    Raises:
        SpecError: it names no repository.
        WeightsError: it cannot be had, or the weights are not those of the record.
        BadDataError: it is no network of this suite, is damaged, or is of a format that this version cannot read.
        PluginError: its code is a module of this machine that the user has not imported.
    """
    place = read_place(reference)
    folder = hub_folder(place.repository, _FILES, _HINT, revision=place.revision, needed=(CONFIG,))
    config = read_config(folder, reference)
    require_files(config, folder, (RECORD, WEIGHTS), reference)
    try:
        record = Record.load(folder / RECORD, strict=True)
    except NewerRecordError:
        raise
    except RecordError as error:
        raise BadDataError(error.problem, "Ask who has pushed it to push it again.") from None
    _require_own_code(record, reference)
    if record.kind == "probe":
        require_named_backbones(record)
        return load_probe(Store(), record, execution, head_from_file(folder / WEIGHTS, record))
    return load_record(record, execution, folder / WEIGHTS)


def _require_own_code(record: Record, reference: str) -> None:
    """Refuse a record that would have a module of this machine imported, and something of it called, which nobody here
    has asked for.
    """
    for kind, name in _outside(record):
        if not _asked_for(kind, name):
            module = name.partition(":")[0] if ":" in name else "MODULE"
            problem = f"{reference}: {kind} {shown(name, 80)!r} is code of this machine, which nobody has imported."
            raise PluginError(
                problem,
                f"If it is what you expect, import it first: `--import {shown(module, 80)}`, or"
                " fer_bench.plugins.import_module in Python.",
            )


def _outside(record: Record) -> Iterator[tuple[str, str]]:
    """Kinds and names of what a record has from outside the package; metrics excepted, which predictions need not."""
    for kind in plugins.KINDS:
        for name in str(record.spec.get(kind) or "").split("+"):
            if ":" in name and plugins.find(kind, name) is not None:
                yield kind, name
    for stream in record.spec.get("streams") or ():
        name = str(stream).partition(":")[2]
        if ":" in name and plugins.find("model", name) is not None:
            yield "model", name
    for key, facts in (record.code.get("plugins") or {}).items():
        if not key.startswith(STATED):
            yield key.partition(" ")[0], str(facts.get("name", ""))


def _asked_for(kind: str, name: str) -> bool:
    """Whether it is installed or registered under its name, or a user has named its module."""
    plugin = plugins.find(kind, name) if kind in plugins.KINDS else None
    if plugin is None:
        return False
    return name != plugin.reference or name.partition(":")[0] in plugins.IMPORTED
