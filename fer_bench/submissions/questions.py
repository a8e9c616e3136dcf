"""What a protocol asks: ids and targets of its test samples, from the dataset or from a record of the same copy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from fer_bench.class_sets import NAMED
from fer_bench.data.samples import Images
from fer_bench.errors import MissingDataError, MissingPackageError, RecordError
from fer_bench.labels import LabelSet
from fer_bench.leaderboard.rows import sort_records
from fer_bench.own_data import BROUGHT
from fer_bench.packages import explain
from fer_bench.predictions import Predictions
from fer_bench.protocols import PROTOCOLS, TASKS, VIA, Protocol, find_task, protocol_for
from fer_bench.results.copies import by_copy, checksums_of
from fer_bench.results.protocol import named_protocol, protocol_of
from fer_bench.results.record import Record
from fer_bench.results.store import Store
from fer_bench.scoring.mapping import map_labels, shared_outputs
from fer_bench.spec import build
from fer_bench.submissions.dataset import dataset_samples
from fer_bench.submissions.reading import Reading, as_flags, reading_of

# What the records of one copy of the data all say of it.
_OF_COPY = (
    "layout",
    "image_size",
    "image_shape",
    "n",
    "checksums",
    "order",
    "names",
    "known_copy",
    "n_test_duplicates",
    "n_quarantined",
    "people_by_sample",
    "tested",
)


@dataclass(frozen=True)
class Questions:
    """The test samples of a protocol, in the order of its records.

    Args:
        protocol: by which answers are judged.
        dataset: its name in records.
        targets: shape (N,) class ids or (N, D) values.
        ids: shape (N,), unique.
        flags: as of :class:`~fer_bench.predictions.Predictions`.
        groups: likewise.
        data: what a record says of the data.
        source: where the targets are from, in words.
        images: of the samples; None where only a record is there.
        options: of the dataset, as it was read.
        notes: what a reader must know of the way in which it was read.
    """

    protocol: Protocol
    dataset: str
    ids: npt.NDArray[np.str_]
    targets: npt.NDArray[np.generic]
    flags: dict[str, npt.NDArray[np.bool_]]
    groups: npt.NDArray[np.str_] | None
    data: dict[str, Any]
    source: str
    images: Images | None = field(default=None, repr=False)
    options: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def asked(self) -> LabelSet | None:
        """The classes that answers have: those of the protocol or, of one of networks of another label set, the classes
        of that; None for values.
        """
        source = self.protocol.task.name.partition(VIA)[2]
        return find_task(source).labels if source else self.protocol.task.labels

    @property
    def columns(self) -> tuple[str, ...]:
        """What is asked of each sample: one number per class, or per dimension."""
        return self.protocol.task.dimensions if self.asked is None else self.asked.names

    def answered(self, outputs: npt.NDArray[np.float32]) -> Predictions:
        """Predictions with some answers.

        Args:
            outputs: shape (N, C) with one column for each of :attr:`columns`; NaN in a row without an answer.
        """
        shared = self.protocol.task.labels
        if self.asked is not None and shared is not None and self.asked.names != shared.names:
            columns = np.array([self.asked.index(name) for name in shared.names], dtype=np.int64)
            # A class without a counterpart, given as the one answer, is no answer here.
            nothing = ~(outputs[:, columns].sum(axis=1) > 0)
            outputs = shared_outputs(outputs, columns)
            outputs[nothing] = np.nan
        return Predictions(self.ids, self.targets, outputs, self.flags, self.groups)


def ask(
    store: Store,
    name: str,
    data_dir: str | None = None,
    options: Mapping[str, Any] | None = None,
    *,
    images: bool = False,
) -> Questions:
    """The test samples of a protocol.

    Where the dataset is on this machine it is read. Where it is not, a record of the protocol in the store has the ids
    and targets of the copy that it was tested on.

    Args:
        store: with records, perhaps.
        name: of the protocol; ``folder:NAME-TASK`` or ``table:FILE-TASK`` for data of one's own, without ``-TASK``
            where ``classes`` among the options decide it.
        data_dir: where the dataset is; None: the usual places.
        options: of the dataset.
        images: whether the images are needed, too.

    Raises:
        UnknownNameError: no such protocol.
        MissingDataError: neither the dataset nor such a record is there.
    """
    protocol, dataset, known = named(store, name, data_dir, options)
    if not protocol.is_relabelled:
        try:
            reading = Reading(dict(options or {})) if known is None else reading_of(store, protocol_of(known), options)
            return _of_dataset(
                protocol, dataset, data_dir, replace(reading, options={**protocol.options, **reading.options})
            )
        except (MissingDataError, MissingPackageError, ImportError) as error:
            why = explain(error) if isinstance(error, ImportError) else error
            if why is None or data_dir or images or (found := _of_records(store, protocol)) is None:
                raise (why or error) from None
            return found
    if images or (found := _of_records(store, protocol)) is None:
        problem = f"protocol {name!r}: its images and labels cannot be read from a dataset alone."
        raise MissingDataError(problem, f"Use {protocol.dataset}-{protocol.task.name}.")
    return found


def named(
    store: Store, name: str, data_dir: str | None = None, options: Mapping[str, Any] | None = None
) -> tuple[Protocol, str, Record | None]:
    """A protocol, the dataset that it is of, and a record of it.

    Args:
        store: with records, perhaps.
        name: as for :func:`ask`.
        data_dir: where a table is looked for.
        options: of the dataset; ``classes`` decide the task of data of one's own.

    Raises:
        UnknownNameError: no such protocol.
    """
    if name in PROTOCOLS and PROTOCOLS[name].checksums:
        # There is one copy, which is read in one way.
        return PROTOCOLS[name], PROTOCOLS[name].dataset, None
    known = next(iter(store.records(name)), None) if name in store.protocols() else None
    plain, via, source = name.partition(VIA)
    if via and (known is None or not protocol_of(known).is_relabelled):
        target, dataset, of_target = named(store, plain, data_dir, options)
        return protocol_for(dataset, f"{target.task.name}{VIA}{source}"), dataset, of_target
    if name in PROTOCOLS:
        return PROTOCOLS[name], PROTOCOLS[name].dataset, known
    if known is not None:
        return protocol_of(known), known.dataset, known
    if name.startswith(BROUGHT):
        dataset, _, task = name.rpartition("-")
        dataset, task = (dataset, task) if task in TASKS or NAMED.fullmatch(task) else (name, "")
        execution = {"data_dir": data_dir} if data_dir else {}
        settings = {"dataset": dataset, "dataset_options": dict(options or {}), "execution": execution}
        spec = build(settings | ({"task": task} if task else {}), "the command line")
        return spec.judge, dataset, None
    found = named_protocol(name, store)
    return found, found.dataset, None


def _of_dataset(protocol: Protocol, dataset: str, data_dir: str | None, reading: Reading) -> Questions:
    target, via, source = protocol.task.name.partition(VIA)
    own, samples, facts = dataset_samples(protocol, target, dataset, data_dir, reading.options)
    test = samples.select(samples.where("test"))
    targets, left_out = test.targets[target], tuple[str, ...]()
    if via:
        labels, asked, shared = find_task(target).labels, find_task(source).labels, protocol.task.labels
        assert labels is not None
        assert asked is not None
        assert shared is not None
        mapping = map_labels(asked, labels, shared)
        targets = mapping.rows[targets.astype(np.int64)]
        n_all, test, targets = len(test), test.select(np.flatnonzero(targets >= 0)), targets[targets >= 0]
        classes, outputs = (", ".join(part) for part in (mapping.dropped_target, mapping.dropped_source))
        left_out = (
            f"left out: {n_all - len(test)} of {n_all} test samples ({classes or 'no class'}), and the outputs"
            f" {outputs or 'none'}",
        )
    whole = np.issubdtype(targets.dtype, np.integer)
    flags = {"duplicate": test.columns["duplicate"].astype(bool)} if "duplicate" in test.columns else {}
    found = Questions(
        protocol,
        own,
        np.asarray(test.ids),
        targets.astype(np.int64 if whole else np.float32),
        flags,
        test.groups,
        facts,
        f"the dataset ({facts['layout']})",
        test.images,
        reading.options,
    )
    return replace(found, notes=(*left_out, *_borrowed(found, reading)))


def _borrowed(found: Questions, reading: Reading) -> tuple[str, ...]:
    """What is said where a record decided how the dataset is read."""
    if not reading.borrowed:
        return ()
    test = (found.data.get("checksums") or {}).get("test")
    other = all(checksums_of(record).get("test") not in (None, test) for record in reading.records)
    what = f"read with {as_flags(reading.borrowed)}, as in record {reading.records[0].run_id}"
    return (f"{what}, which is of another copy of the data" if other else what,)


def _of_records(store: Store, protocol: Protocol) -> Questions | None:
    """From a ranked record of the copy whose table comes first; None where there is none."""
    copies = by_copy(protocol, store.records(protocol.name))
    rows = [row for copy in copies[:1] for row in sort_records(protocol, copy.records).rows]
    for record in (record for row in rows for record in row.records):
        try:
            test = store.predictions(record)
        except RecordError:
            continue
        data = {key: record.data[key] for key in _OF_COPY if key in record.data}
        data |= {"n": {"test": len(test)}, "checksums": _of_test(record)}
        source = f"the record {record.model}/{record.run_id} of the same copy"
        return Questions(protocol, record.dataset, test.ids, test.targets, test.flags, test.groups, data, source)
    return None


def _of_test(record: Record) -> dict[str, str]:
    """The checksum of the test split: of the others nothing is known here."""
    return {split: value for split, value in (record.data.get("checksums") or {}).items() if split == "test"}
