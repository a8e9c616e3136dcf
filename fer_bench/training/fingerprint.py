"""The whole fingerprint of a run, composed once: for training, for a dry run, and for what of a suite is done."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fer_bench.data.datamodule import AffectDataModule
from fer_bench.errors import RecordError
from fer_bench.models.initial import Initial, initial_weights, weights_inputs
from fer_bench.results.inputs import Inputs, data_inputs
from fer_bench.results.record import Record
from fer_bench.results.store import Store
from fer_bench.spec import RunSpec
from fer_bench.training.origin import begun_with, find_origin, origin_inputs, origins
from fer_bench.training.outside import plugin_inputs
from fer_bench.training.teachers import find_teachers, require_same_data, teachers_inputs
from fer_bench.training.votes import Votes, votes_for


def fingerprint(
    spec: RunSpec,
    facts: Mapping[str, Any],
    initial: Initial | None = None,
    teachers: Sequence[Record] = (),
    votes: Votes | None = None,
    origin: Record | None = None,
) -> Inputs:
    """What a run is a run of, by digest: its data, the code from outside that it names, the weights that it begins
    with, and whoever teaches it.

    Args:
        spec: the run.
        facts: of its data, from :func:`fer_bench.data.provenance.data_facts`.
        initial: ImageNet's weights, where it begins with them and they have been found.
        teachers: records of its teachers.
        votes: by which it is taught.
        origin: record of the run that it begins with.
    """
    weights = weights_inputs(initial) | origin_inputs(origin)
    return data_inputs(facts) | plugin_inputs(spec) | weights | teachers_inputs(teachers, votes)


def fingerprint_here(
    spec: RunSpec,
    facts: Mapping[str, Any],
    datamodule: Callable[[], AffectDataModule],
    store: Store,
    gone: list[RecordError] | None = None,
) -> Inputs:
    """The fingerprint of a run that is not begun: no hub is asked, so that weights which are not on this machine are
    left out.

    Args:
        spec: the run.
        facts: as of :func:`fingerprint`.
        datamodule: gives the data, where votes on them are needed.
        store: with the records of its teachers.
        gone: as of :func:`~fer_bench.training.teachers.find_teachers`.

    Raises:
        FerBenchError: what is wrong with its weights, its teachers or its votes.
    """
    teachers = find_teachers(spec, store, gone)
    origin = find_origin(spec, store, gone)
    require_same_data(teachers, data_inputs(facts))
    origins(spec, begun_with(spec, origin, store), teachers, data_inputs(facts), store)
    votes = votes_for(spec, datamodule()) if spec.method != "plain" else None
    return fingerprint(spec, facts, initial_weights(spec, hub=False), teachers, votes, origin)
