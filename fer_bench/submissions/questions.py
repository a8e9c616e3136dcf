"""What a protocol asks: ids and targets of its test samples, from the dataset or from a record of the same copy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from fer_bench.data.samples import Images
from fer_bench.errors import MissingDataError, MissingPackageError, RecordError
from fer_bench.leaderboard.rows import sort_records
from fer_bench.own_data import BROUGHT
from fer_bench.packages import explain
from fer_bench.predictions import Predictions
from fer_bench.protocols import PROTOCOLS, TASKS, VIA, Protocol
from fer_bench.results.copies import by_copy
from fer_bench.results.protocol import named_protocol, protocol_of
from fer_bench.results.record import Record
from fer_bench.results.store import Store
from fer_bench.spec import build
from fer_bench.submissions.dataset import dataset_samples

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

    def answered(self, outputs: npt.NDArray[np.float32]) -> Predictions:
        """Predictions with some outputs, shape (N, C) or (N, D)."""
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
    if known is None or not (protocol.is_relabelled or VIA in protocol.task.name):
        try:
            return _of_dataset(protocol, dataset, data_dir, {**protocol.options, **_options(known), **(options or {})})
        except (MissingDataError, MissingPackageError, ImportError) as error:
            why = explain(error) if isinstance(error, ImportError) else error
            if why is None or data_dir or images or (found := _of_records(store, protocol)) is None:
                raise (why or error) from None
            return found
    if images or (found := _of_records(store, protocol)) is None:
        problem = f"protocol {name!r}: its images and labels cannot be read from a dataset alone."
        raise MissingDataError(problem, f"Use {protocol.dataset}-{protocol.task.name.partition(VIA)[0]}.")
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
    known = _known(store, name) if name in store.protocols() else None
    if name in PROTOCOLS:
        return PROTOCOLS[name], PROTOCOLS[name].dataset, known
    if known is not None:
        return protocol_of(known), known.dataset, known
    if name.startswith(BROUGHT):
        dataset, _, task = name.rpartition("-")
        dataset, task = (dataset, task) if task in TASKS else (name, "")
        execution = {"data_dir": data_dir} if data_dir else {}
        settings = {"dataset": dataset, "dataset_options": dict(options or {}), "execution": execution}
        spec = build(settings | ({"task": task} if task else {}), "the command line")
        return spec.judge, dataset, None
    found = named_protocol(name, store)
    return found, found.dataset, None


def _known(store: Store, protocol: str) -> Record | None:
    """A record of a protocol, where there is one such that says how its dataset was read."""
    first = None
    for record in store.records(protocol):
        if _options(record):
            return record
        first = first or record
    return first


def _options(record: Record | None) -> dict[str, Any]:
    """How the dataset of a record was read; one that was evaluated has the settings of its training, on other data."""
    if record is None or record.kind not in ("trained", "external"):
        return {}
    return dict(record.spec.get("dataset_options") or {})


def _of_dataset(protocol: Protocol, dataset: str, data_dir: str | None, options: dict[str, Any]) -> Questions:
    own, samples, facts = dataset_samples(protocol, dataset, data_dir, options)
    at = samples.where("test")
    test = samples.select(at)
    targets = test.targets[protocol.task.name]
    whole = np.issubdtype(targets.dtype, np.integer)
    flags = {"duplicate": test.columns["duplicate"].astype(bool)} if "duplicate" in test.columns else {}
    return Questions(
        protocol,
        own,
        np.asarray(test.ids),
        targets.astype(np.int64 if whole else np.float32),
        flags,
        test.groups,
        facts,
        f"the dataset ({facts['layout']})",
        test.images,
    )


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
