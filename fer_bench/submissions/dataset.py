"""The test samples of a protocol, read from its dataset; needs no PyTorch."""

from __future__ import annotations

from typing import Any

from fer_bench.data.provenance import data_facts
from fer_bench.data.samples import Samples
from fer_bench.datasets.load import build_datamodule
from fer_bench.layering import layered
from fer_bench.protocols import Protocol
from fer_bench.spec import build


def dataset_samples(
    protocol: Protocol, task: str, dataset: str, data_dir: str | None, options: dict[str, Any]
) -> tuple[str, Samples, dict[str, Any]]:
    """Read a dataset as a run of the protocol would.

    Args:
        protocol: where its folds are cut, all samples are the test, as for an experiment over them.
        task: whose labels are read.
        dataset: as ``--dataset`` names it.
        data_dir: where it is; None: the usual places.
        options: of the dataset.

    Returns:
        The dataset's name in records, all samples that have a label of the task, and what a record says of the data.

    Raises:
        MissingDataError: it is not there.
        FerBenchError: it is damaged, or has no such labels.
    """
    settings = {
        "dataset": dataset,
        "task": task,
        "dataset_options": {key: value for key, value in options.items() if key != "fold"},
        "execution": {"data_dir": data_dir} if data_dir else {},
    }
    spec = build(layered(settings), "the command line")
    datamodule = build_datamodule(spec, reading=True)
    datamodule.test_only = datamodule.folding is not None
    datamodule.setup()
    return spec.dataset, datamodule.read_samples, data_facts(datamodule, protocol)
