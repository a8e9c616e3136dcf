"""Which grid is it, and is it there already: names, fingerprints, and the records of former runs."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fer_bench import plugins
from fer_bench.data.datamodule import AffectDataModule
from fer_bench.errors import RecordError
from fer_bench.models.catalog import MODELS
from fer_bench.models.recognised import runs_of_file
from fer_bench.pinning import RUN
from fer_bench.plugins import CODE
from fer_bench.probes.face_crops import detector_digests
from fer_bench.probes.settings import ProbeSettings
from fer_bench.probes.streams import check_stream
from fer_bench.results.grids import SUFFIX
from fer_bench.results.inputs import data_inputs, digest
from fer_bench.results.lineage import lineage, require_unseen
from fer_bench.results.record import Record
from fer_bench.results.store import Store
from fer_bench.spec import RunSpec

NETWORK, WEIGHTS = "network of ", "weights of "


def data_spec(settings: ProbeSettings, data_dir: str | None = None, fold: int | None = None) -> RunSpec:
    """A run on the data of a grid.

    Args:
        settings: of the grid.
        data_dir: data root.
        fold: which fold of the data; None: as the settings say.
    """
    execution = {"data_dir": data_dir, "table_file": settings.table_file}
    options = dict(settings.dataset_options) | ({} if fold is None else {"fold": fold})
    return RunSpec.model_validate(
        {"dataset": settings.dataset, "dataset_options": options, "task": settings.task, "execution": execution}
    )


def data_specs(settings: ProbeSettings, data_dir: str | None = None) -> list[RunSpec]:
    """Runs on the data of a grid: one of each fold, where it is on all of them."""
    folding = settings.folding
    if folding is None or folding.fold is not None:
        return [data_spec(settings, data_dir)]
    return [data_spec(settings, data_dir, fold) for fold in range(folding.folds)]


def seen_inputs(
    settings: ProbeSettings,
    facts: Sequence[Mapping[str, Any]],
    datamodule: Callable[[], AffectDataModule],
    data_dir: str | None = None,
) -> dict[str, str]:
    """The part of a grid's fingerprint that is known without its networks.

    Args:
        settings: of the grid.
        facts: of its data, from :func:`fer_bench.data.provenance.data_facts`: of each fold, where it is on all.
        datamodule: gives the data, where faces have to be found in them.
        data_dir: data root.
    """
    faces = [stream for stream in settings.streams if stream.startswith("faces:")]
    detector = detector_digests(faces, datamodule(), settings.detector, data_dir) if faces else {}
    if len(facts) == 1:
        data = data_inputs(facts[0])
    else:
        # As of a cross-validation of networks: the whole copy as its test split, and each fold by its digest.
        folds = {f"fold {number}": digest(data_inputs(fold)) for number, fold in enumerate(facts)}
        data = {"test": str(facts[0]["fold"]["copy"]), **folds}
    return {**data, **_code_of(settings), **detector}


def find_grid(settings: ProbeSettings, store: Store, seen: Mapping[str, str] | None) -> list[Record]:
    """The records of a grid, found without its networks: where their weights are not, nothing says that they are others
    than those of the records.

    Args:
        settings: of the grid, runs named by their whole ids.
        store: of records.
        seen: from :func:`seen_inputs`; None where the data are not on this machine: the settings alone decide.

    Returns:
        Empty where there is none.
    """
    networks = networks_of(settings, store)
    for path in sorted(store.grid_path(settings.protocol, settings.model, "any").parent.glob(f"*{SUFFIX}")):
        name = path.name.removesuffix(SUFFIX)
        records = store.find_intact_grid(settings.protocol, settings.model, name) or []
        if not records:
            continue
        stated = records[0].inputs or dict(records[0].data.get("checksums") or {})
        own = {key: value for key, value in stated.items() if not key.startswith((NETWORK, WEIGHTS))}
        # A grid's name is of what was seen or, where that was taken, of the whole fingerprint.
        of_settings = name in (settings.grid_id(own), settings.grid_id(stated))
        on_data = seen is None or name == settings.grid_id(seen) or own == dict(seen)
        of_networks = all(records[0].inputs.get(key, value) == value for key, value in networks.items())
        if on_data and of_networks and (of_settings or (seen is not None and name == settings.grid_id(seen))):
            return records
    return []


def grid_on(store: Store, protocol: str, model: str, grid: str, inputs: Mapping[str, str]) -> list[Record] | None:
    """The records of a grid on these inputs; empty where the name is free or its records are damaged; None where they
    are of other inputs.

    Args:
        store: of records.
        protocol: name of the protocol.
        model: name of the rows.
        grid: name of the grid.
        inputs: fingerprint; empty: any.
    """
    records = store.find_intact_grid(protocol, model, grid)
    if records and inputs and records[0].inputs and records[0].inputs != dict(inputs):
        return None
    return records or []


def origins_of(
    settings: ProbeSettings,
    store: Store,
    facts: Sequence[Mapping[str, Any]],
    of_files: Mapping[str, Sequence[Record]],
) -> list[Record]:
    """Every network of the store that the backbones of a grid are or come from.

    Args:
        settings: of the grid.
        store: where runs are looked up.
        facts: of its data, as :func:`seen_inputs`.
        of_files: of :func:`runs_of_files`.

    Raises:
        SpecError: one of them may have been trained on what is validated or tested.
    """
    named = [record for records in of_files.values() for record in records]
    networks = lineage([*_runs_of(settings, store).values(), *named], store)
    # A network of one fold was trained on what the others test.
    inputs = data_inputs(facts[0]) if len(facts) == 1 else None
    require_unseen(networks, settings.dataset, settings.dataset_options, inputs)
    return networks


def runs_of_files(settings: ProbeSettings, store: Store) -> dict[str, list[Record]]:
    """The runs whose checkpoints the files of backbones may be, by stream."""
    found = {}
    for stream in settings.streams:
        weights = settings.weights.get(check_stream(stream)[1], "")
        if (path := settings.weights_files.get(weights)) and (runs := runs_of_file(path, store)):
            found[stream] = runs
    return found


def networks_of(settings: ProbeSettings, store: Store) -> dict[str, str]:
    """What the records of runs among the backbones say of their networks, also where their checkpoints are not on this
    machine.
    """
    known = {stream: record.training.get("weights_sha256") for stream, record in _runs_of(settings, store).items()}
    return {NETWORK + stream: str(sha256)[:16] for stream, sha256 in known.items() if sha256}


def _runs_of(settings: ProbeSettings, store: Store) -> dict[str, Record]:
    """The records of the runs among the backbones, by stream."""
    found = {}
    for stream in settings.streams:
        name = check_stream(stream)[1]
        # What is no run, or none of the store's, is said when the backbone is opened.
        with contextlib.suppress(RecordError):
            if name.startswith(RUN):
                found[stream] = store.get(name.removeprefix(RUN))
    return found


def _code_of(settings: ProbeSettings) -> dict[str, str]:
    """Digests of the code of backbones from outside the package."""
    named = {stream: check_stream(stream)[1] for stream in settings.streams}
    found = {
        stream: plugins.find("model", name)
        for stream, name in named.items()
        if name not in MODELS and not name.startswith(RUN)
    }
    return {f"{CODE}{stream}": plugin.digest[:16] for stream, plugin in found.items() if plugin is not None}
