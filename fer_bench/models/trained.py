"""The one way to load a trained run: from its record to its settings, its checkpoint and its network."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import torch
from torch import nn

from fer_bench import plugins
from fer_bench.errors import PluginError, WeightsError
from fer_bench.metric_plugins import STATED
from fer_bench.models import published
from fer_bench.models.weights import read_file, require_weights
from fer_bench.models.zoo import Network, build_specified
from fer_bench.results.begin import find_checkpoint
from fer_bench.results.record import Record
from fer_bench.spec import Execution, RunSpec, build


def spec_of(record: Record, execution: Execution | None = None) -> RunSpec:
    """The settings of a trained run.

    Args:
        record: of the run.
        execution: dataset root directory and device, for later use.

    Raises:
        WeightsError: it has no trained network, or several.
    """
    if record.kind != "trained" or not record.spec:
        problem = f"run {record.run_id} is of kind {record.kind!r}: it has no trained network."
        raise WeightsError(problem, _with_network(record))
    if folds := record.data.get("folds"):
        problem = f"run {record.run_id} is a cross-validation: it has {len(folds)} networks, one per fold."
        raise WeightsError(problem, f"Choose one of its folds: {', '.join(folds)}.")
    return build({**record.spec, "execution": execution or Execution()}, f"the record of {record.run_id}")


def checkpoint_of(record: Record, spec: RunSpec) -> Path:
    """Where the weights of a run are on this machine; where they are not, they are downloaded, if somebody keeps them.

    Raises:
        WeightsError: they cannot be had.
    """
    checkpoint = find_checkpoint(spec, record)
    if not checkpoint.is_file():
        if (kept := published.find(record)) is not None:
            return published.fetched(kept, record.run_id)
        problem = f"the checkpoint of run {record.run_id} is not at {checkpoint}."
        raise WeightsError(
            problem,
            "Checkpoints are not part of the repository: copy it there, set FER_BENCH_RUNS, or repeat the run with"
            " --force.",
        )
    return checkpoint


def native_size(record: Record, spec: RunSpec) -> int:
    """Side of the images that a run was trained on, in pixels; records of the first days, which do not say it, are of
    48.
    """
    return int(record.data.get("image_size") or spec.image_size or 48)


def load_network(record: Record, spec: RunSpec) -> Network:
    """The network of a run.

    Args:
        record: of the run.
        spec: of the run, as of :func:`spec_of`.

    Raises:
        WeightsError: its checkpoint or its code is not on this machine, or is not what the record was made with.
    """
    checkpoint = checkpoint_of(record, spec)
    recall(record)
    outputs = spec.judge.task.n_outputs
    network = build_specified(spec, outputs, native_size=native_size(record, spec), pretrained=False)
    load_recorded(nn.ModuleDict({"network": network}), network, record, checkpoint)
    return network


def load_recorded(module: nn.Module, network: nn.Module, record: Record, checkpoint: Path) -> None:
    """Load the checkpoint of a record, and refuse one that the record was not made with.

    Args:
        module: whatever holds the network as ``network``.
        network: whose weights the record names.
        record: of the run.
        checkpoint: its file.
    """
    load_weights(module, checkpoint)
    require_weights(network, record.training.get("weights_sha256"), checkpoint, record.run_id)


def load_weights(module: nn.Module, path: Path) -> None:
    """Load a checkpoint of this suite into what was built from the same settings and holds its network as ``network``.

    Raises:
        WeightsError: damaged, or of another network.
    """
    state = read_checkpoint(path)["state_dict"]
    own = module.state_dict()
    wanted = {key: value for key, value in state.items() if key in own and isinstance(value, torch.Tensor)}
    if any(
        key not in wanted or wanted[key].shape != value.shape
        for key, value in own.items()
        if key.startswith("network.")
    ):
        problem = f"{path}: the checkpoint is of another network."
        raise WeightsError(problem, f"Delete {path.parent} and train again.")
    module.load_state_dict(wanted, strict=False)


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint that training has written.

    Raises:
        WeightsError: missing, damaged, or something else; names the folder to delete.
    """
    hint = f"Delete {path.parent} to train from the start."
    if not path.is_file():
        problem = f"{path}: the checkpoint is missing."
        raise WeightsError(problem, hint)
    try:
        content = read_file(str(path))
    except WeightsError as error:
        raise WeightsError(error.problem, hint) from None
    if path.suffix == published.SUFFIX:
        # What is published are the weights alone.
        return {"state_dict": content, "epoch": 0}
    if not isinstance(content.get("state_dict"), dict) or not isinstance(content.get("epoch"), int):
        problem = f"{path}: not a checkpoint of this suite."
        raise WeightsError(problem, hint)
    return content


def recall(record: Record) -> None:
    """Register the plugins that a record names, so that its network can be built.

    Raises:
        WeightsError: the network's code is not here, or is not what the run was trained with.
    """
    stated = record.code.get("plugins") or {}
    for key, facts in stated.items():
        # What a metric is computed by is a matter of who runs it, never of what a record says.
        if key.startswith(STATED):
            continue
        kind, name = key.partition(" ")[0], str(facts.get("name", ""))
        # `module:attribute` is found by itself.
        if ":" not in name and plugins.find(kind, name) is None:
            plugins.register(kind, name, str(facts.get("object", "")))
    facts = stated.get("model")
    if facts is None:
        return
    plugin = plugins.find("model", record.model)
    source = (
        " ".join(str(facts[part]) for part in ("package", "version") if facts.get(part))
        or str(facts.get("object", "")).partition(":")[0]
    )
    try:
        found = plugin.digest if plugin is not None else ""
    except PluginError as error:
        raise WeightsError(
            error.problem,
            f"Run {record.run_id} was trained with it: install {source}, or go to the folder that it is in.",
        ) from None
    if found != facts.get("sha256"):
        digests = f"sha256 {found[:12]}, not {str(facts.get('sha256'))[:12]}"
        problem = (
            f"run {record.run_id}: the code of its network, {facts.get('object')}, is not what it was trained with"
            f" ({digests})."
        )
        raise WeightsError(problem, f"Restore {source} as it was, or train again.")


def _with_network(record: Record) -> str:
    """What to use instead of a record without a network."""
    source = re.split(r"-on-|-by-", record.run_id)[0]
    return (
        f"Choose the run that it tests, {source}."
        if record.kind == "evaluated" and source != record.run_id
        else "Choose a run of kind 'trained'."
    )
