"""The networks that a row comes from: the one it begins with, its teachers, the ones whose features it uses, and
theirs, back to the first. A row must not be tested on what one of them was trained on, and it takes over the caveats
of those that learnt from its own images.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

from fer_bench.cross_validation import folding_of
from fer_bench.errors import PluginError, RecordError, SpecError
from fer_bench.labels import letters
from fer_bench.own_data import BROUGHT
from fer_bench.pinning import RUN
from fer_bench.protocols import DATASETS, dataset_name, info_of, parts_of
from fer_bench.protocols.union import UnionOptions
from fer_bench.results.inputs import on_same_splits
from fer_bench.results.record import Record
from fer_bench.results.store import Store

EXTRA_LABELS = "extra labels"
NOT_ON_RECORD = "comes from a run that is not on record"


def lineage(networks: Sequence[Record], store: Store) -> list[Record]:
    """Networks, and those they come from, each once; of what is no longer on record nothing is known.

    Args:
        networks: records of the nearest ones.
        store: where the others are looked up.
    """
    found: dict[str, Record] = {}
    waiting = list(networks)
    while waiting:
        record = waiting.pop(0)
        if record.run_id not in found:
            found[record.run_id] = record
            waiting += _parents(record, store)
    return list(found.values())


def _parents(record: Record, store: Store) -> list[Record]:
    found = []
    folding = folding_of(record.spec.get("dataset_options") or {})
    fold = folding.fold if folding is not None else None
    for name in _named_by(record):
        with contextlib.suppress(RecordError):
            parent = store.get(name)
            folds = parent.data.get("folds")
            found.append(store.get(folds[fold]) if folds and fold is not None else parent)
    return found


def _named_by(record: Record) -> list[str]:
    """The runs that a record says it comes from."""
    spec = record.spec
    streams = (stream.partition(":")[2] for stream in spec.get("streams") or ())
    given = [*([spec["weights"]] if isinstance(spec.get("weights"), str) else []), *streams]
    teachers = _listed((spec.get("method_options") or {}).get("teachers"))
    return [
        *(name.removeprefix(RUN) for name in given if name.startswith(RUN)),
        # The votes of raters are no run.
        *(teacher for teacher in teachers if ":" not in teacher),
        *_in_files(record),
    ]


def _is_gone(name: str, store: Store) -> bool:
    try:
        store.get(name)
    except RecordError:
        return True
    return False


def _in_files(record: Record) -> list[str]:
    """The runs whose checkpoints were named as files; of a head, by its streams."""
    begun = record.training.get("initial_weights") or {}
    found = [facts.get("runs") or [] for facts in (begun, *begun.values()) if isinstance(facts, Mapping)]
    return [str(run) for runs in found for run in runs]


def _listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value or ())


def require_unseen(
    networks: Sequence[Record],
    dataset: str,
    options: Mapping[str, Any],
    inputs: Mapping[str, str] | None,
    where: str = "",
) -> None:
    """Refuse a network that may have been trained on what is validated or tested.

    Args:
        networks: of :func:`lineage`.
        dataset: the run's, or the one that is tested on.
        options: its ``dataset_options``.
        inputs: fingerprint of the data; None: several folds, or all samples, are tested.
        where: of what settings the message speaks.

    Raises:
        SpecError: names the network.
    """
    for record in networks:
        if not _may_have_seen(record, dataset, options, inputs):
            continue
        has = "may have" if record.dataset.startswith(BROUGHT) or dataset.startswith(BROUGHT) else "has"
        images = "" if record.dataset == dataset else f", which {has} images of {dataset}"
        if inputs is None:
            problem = (
                f"{where}run {record.run_id} was trained on {record.dataset}{images}: here all of them are tested."
            )
            fold = (record.spec.get("dataset_options") or {}).get("fold")
            known = fold is not None and not images
            hint = f"Use the fold that it was trained for, dataset_options.fold={fold}, or" if known else "Choose"
            raise SpecError(problem, f"{hint} a network of other images.")
        problem = (
            f"{where}run {record.run_id} was trained on another copy or fold of {record.dataset}{images}: it may have"
            " seen what is validated and tested here."
        )
        raise SpecError(problem, "Choose a run on the data that are here now, with the same dataset_options.")


def inherited_caveats(networks: Sequence[Record], dataset: str, store: Store, *, trained: bool = True) -> list[str]:
    """What a row takes over from the networks that it comes from, where they learnt from images of its dataset: their
    caveats, and that other labels than the dataset's were used. And that there are more of them, of which nothing is
    known.

    Args:
        networks: of :func:`lineage`.
        dataset: the row's.
        store: where the networks were looked up.
        trained: whether the row learnt from the dataset's labels, so that another dataset's of the same images are
            extra ones; a network that is only tested there has learnt from no others.
    """
    found = []
    own = _sources(dataset, {})
    for record in networks:
        same = {
            name for name in _sources(record.dataset, {}) if any(_images_of(name) == _images_of(each) for each in own)
        }
        if same:
            found += record.caveats
            if record.spec.get("labels") or (trained and set(map(_named, same)) - set(map(_named, own))):
                found.append(EXTRA_LABELS)
    if any(_is_gone(name, store) for record in networks for name in _named_by(record)):
        found.append(NOT_ON_RECORD)
    return list(dict.fromkeys(found))


def _may_have_seen(record: Record, dataset: str, options: Mapping[str, Any], inputs: Mapping[str, str] | None) -> bool:
    if record.dataset == dataset:
        return inputs is None or not on_same_splits(record, inputs)
    own, theirs = _sources(dataset, options), _sources(record.dataset, record.spec.get("dataset_options") or {})
    for name, chosen in own.items():
        for other, given in theirs.items():
            if _images_of(name) != _images_of(other):
                continue
            if name == other:
                # One of the two joins it with others.
                seen = chosen != given or (dataset == name and _is_another_copy(record, name, inputs))
            elif name.startswith(BROUGHT) or other.startswith(BROUGHT):
                # A folder or a table may be split in any way.
                seen = inputs is None or not on_same_splits(record, inputs)
            else:
                seen = _has_own_splits(record, chosen, given)
            if seen:
                return True
    return False


def _is_another_copy(record: Record, part: str, inputs: Mapping[str, str] | None) -> bool:
    """Whether a network of several datasets says that it read one of them from another copy than the one here."""
    stated = ((record.data.get("union") or {}).get(part) or {}).get("checksums") or {}
    known = inputs or {}
    return any(known[split] != value for split, value in stated.items() if split in known)


def _has_own_splits(record: Record, *options: Mapping[str, Any]) -> bool:
    """Whether one of two datasets of the same images is not split as both are officially."""
    return record.data.get("known_copy") is False or any(folding_of(chosen) for chosen in options)


def _sources(dataset: str, options: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The datasets that a name joins, with the options of each."""
    if not (parts := parts_of(dataset)):
        return {dataset: dict(options)}
    joined = info_of(dataset).read_options(dict(options))
    assert isinstance(joined, UnionOptions)
    return {part: joined.of(part) for part in parts}


def _named(dataset: str) -> str:
    """A dataset's name; of a user's folder or table, that of the known dataset that it is called after, if any."""
    if not dataset.startswith(BROUGHT):
        return dataset
    name = dataset_name(dataset)
    return next((known for known in DATASETS if letters(known) == letters(name)), name)


def _images_of(dataset: str) -> str:
    try:
        return info_of(_named(dataset)).images_of or _named(dataset)
    except PluginError:
        # One that is not on this machine.
        return dataset
