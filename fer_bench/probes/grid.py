"""run_grid(): all heads of a grid fitted, chosen on validation, tested once, and written as records."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from fer_bench.data.datamodule import AffectDataModule
from fer_bench.data.provenance import data_facts, split_caveats
from fer_bench.datasets.load import build_datamodule
from fer_bench.errors import WeightsError
from fer_bench.probes.backbones import Backbone
from fer_bench.probes.features import Place
from fer_bench.probes.fit import fit
from fer_bench.probes.grid_choice import choose
from fer_bench.probes.grid_found import (
    WEIGHTS,
    data_spec,
    data_specs,
    find_grid,
    grid_on,
    networks_of,
    origins_of,
    runs_of_files,
    seen_inputs,
)
from fer_bench.probes.grid_inputs import Inputs, check_names, inputs_of, read_streams, try_backbones
from fer_bench.probes.grid_records import TESTED, draft_record, facts_of, head_record, stack, stacked_over_folds
from fer_bench.probes.head import AnyHead, heads_of
from fer_bench.probes.heads import TrainedHeads
from fer_bench.probes.kept_heads import keep
from fer_bench.probes.settings import ProbeSettings
from fer_bench.probes.streams import check_stream, full_name, open_backbone
from fer_bench.protocols import Protocol
from fer_bench.results.copies import checksums_of, note_present
from fer_bench.results.grids import StackedPredictions
from fer_bench.results.lineage import inherited_caveats
from fer_bench.results.record import Record
from fer_bench.results.store import Store


def run_grid(
    settings: ProbeSettings,
    store: Store | None = None,
    *,
    place: Place | None = None,
    data_dir: str | None = None,
    force: bool = False,
) -> list[Record]:
    """Fit every head of a grid, and write one record per head.

    Of each grid two rows are ranked: the settings whose mean over the seeds is best on validation, and those that are
    best on test, which have the caveat ``selected on test`` and are what the paper reports. Where both are the same, it
    is one row. The rest is kept and verified, not ranked. Of data that are split into folds, every fold has its own
    heads, and a record is over all folds together.

    Args:
        settings: everything that decides the result.
        store: where records go; None: the project's leaderboards.
        place: device and precision.
        data_dir: data root.
        force: repeat a grid that is there.

    Returns:
        The records; those that are there if the grid was already run.

    Raises:
        FerBenchError: whatever the user can act on.
    """
    protocol, heads = settings.judge, heads_of(settings)
    for stream in settings.streams:
        check_stream(stream)
    store, place = store or Store(), place or Place()
    store.require_space()
    settings = settings.model_copy(update={"streams": tuple(full_name(stream, store) for stream in settings.streams)})
    check_names(settings, store, data_dir)
    modules = [build_datamodule(spec, workers=place.workers) for spec in data_specs(settings, data_dir)]
    for module in modules:
        module.setup()
    facts = [data_facts(module, protocol) for module in modules]
    of_files = runs_of_files(settings, store)
    origins = origins_of(settings, store, facts, of_files)
    whole = modules[0] if len(modules) == 1 else _whole(settings, place, data_dir)
    seen = seen_inputs(settings, facts, lambda: whole, data_dir)
    networks = networks_of(settings, store)
    try:
        backbones = {stream: open_backbone(stream, settings, store, data_dir) for stream in settings.streams}
    except WeightsError:
        if not force and (found := find_grid(settings, store, seen)):
            return found
        raise
    fingerprint = seen | networks | {WEIGHTS + stream: backbone.digest[:16] for stream, backbone in backbones.items()}
    # The plain name is that of the first weights; others under the same name have theirs in it.
    for grid in (settings.grid_id(seen), settings.grid_id(fingerprint)):
        known = grid_on(store, protocol.name, settings.model, grid, fingerprint)
        if known and not force:
            note_present(store, protocol, checksums_of(known[0]))
            return known
        if known is not None:
            break
    try_backbones(backbones, whole)
    began_with = {
        stream: initial for stream, backbone in backbones.items() if (initial := backbone.initial) is not None
    }
    for stream, initial in began_with.items():
        print(f"  weights of {stream}: {initial.describe()}", flush=True)
    began = time.perf_counter()
    each = _read(settings, modules, whole, place, store, data_dir, backbones)
    read = time.perf_counter()
    trained = [_fit(heads, inputs, protocol, settings, place) for inputs in each]
    seconds = {"features": round(read - began, 3), "heads": round(time.perf_counter() - read, 3)}
    stacked = {name: _stacked(each, trained, name, place) for name in TESTED}
    told = facts_of(facts, stacked, protocol.fold_by)
    draft = draft_record(settings, protocol, told, each[0], place, grid, seconds)
    of_splits = [caveat for fold in facts for caveat in split_caveats(fold)]
    caveats = list(dict.fromkeys([*draft.caveats, *of_splits, *inherited_caveats(origins, settings.dataset, store)]))
    draft = draft.model_copy(update={"inputs": fingerprint, "caveats": caveats})
    if began_with:
        runs = {stream: {"runs": [one.run_id for one in found]} for stream, found in of_files.items()}
        draft.training["initial_weights"] = {
            stream: initial.facts() | runs.get(stream, {}) for stream, initial in began_with.items()
        }
    seen_in_training = _stacked(each, trained, "train", place)
    records = [head_record(draft, protocol, trained, stacked, seen_in_training, h) for h in range(len(heads))]
    if len(each) == 1:
        records = keep(grid, records, each[0], trained[0])
    return store.put_grid(grid, choose(records, protocol, settings.recipe or _about(settings)), stacked)


def _whole(settings: ProbeSettings, place: Place, data_dir: str | None) -> AffectDataModule:
    """All samples of all folds, in the order of their ids: the features of a sample are the same in every fold."""
    module = build_datamodule(data_spec(settings, data_dir), workers=place.workers)
    module.test_only = True
    module.setup()
    return module


def _read(
    settings: ProbeSettings,
    modules: Sequence[AffectDataModule],
    whole: AffectDataModule,
    place: Place,
    store: Store,
    data_dir: str | None,
    backbones: Mapping[str, Backbone],
) -> list[Inputs]:
    streams = read_streams(settings, whole, place, store, data_dir, backbones)
    ids = None if len(modules) == 1 else whole.read_samples.ids
    return [inputs_of(settings, module, streams, place, ids) for module in modules]


def _fit(
    heads: Sequence[AnyHead], inputs: Inputs, protocol: Protocol, settings: ProbeSettings, place: Place
) -> TrainedHeads:
    train, validation = (inputs.split(name, place.device) for name in ("train", "validation"))
    return fit(heads, train, validation, protocol, settings)


def _stacked(each: Sequence[Inputs], trained: Sequence[TrainedHeads], split: str, place: Place) -> StackedPredictions:
    folds = [stack(inputs, part, split, place.device) for inputs, part in zip(each, trained, strict=True)]
    return folds[0] if len(folds) == 1 else stacked_over_folds(folds, split)


def _about(settings: ProbeSettings) -> str:
    return "linear probe" if len(settings.streams) == 1 else "late fusion"
