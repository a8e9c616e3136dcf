"""From a spec to a task: network, label set and loss; shared by training, evaluation and prediction."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from fer_bench.data.datamodule import AffectDataModule
from fer_bench.errors import SpecError
from fer_bench.metric_plugins import require_plugins
from fer_bench.models.catalog import find_model
from fer_bench.models.initial import Initial
from fer_bench.models.trial import try_sides, try_specified
from fer_bench.models.zoo import Network, build_specified
from fer_bench.protocols import Protocol
from fer_bench.registry import unknown_name
from fer_bench.spec import RunSpec
from fer_bench.tasks.autoencoding import AutoencodingTask
from fer_bench.tasks.base import AffectTask
from fer_bench.tasks.distilling import METHOD as DISTILL
from fer_bench.tasks.distilling import DistillingTask
from fer_bench.tasks.expression import ExpressionTask
from fer_bench.tasks.label_losses import build_label_loss
from fer_bench.tasks.mixing import check_mixing
from fer_bench.tasks.multilabel import MultiLabelTask, check_label_settings
from fer_bench.tasks.schedules import OPTIMIZERS, SCHEDULES, build_optimizer, build_schedule
from fer_bench.tasks.sharpness import OPTION as SAM
from fer_bench.tasks.sharpness import radius_of
from fer_bench.tasks.valence_arousal import ValenceArousalTask, check_value_settings
from fer_bench.tasks.value_losses import build_value_loss, check_class_loss
from fer_bench.tracking.session import check_packages
from fer_bench.training.callbacks import snapshot_epoch
from fer_bench.training.dropout_schedule import check_dropout_schedule
from fer_bench.training.idle import check_idle
from fer_bench.training.resizing import check_progressive
from fer_bench.training.temporal import check_temporal

# Strategies that shard the weights over the processes.
SHARDED = ("fsdp", "deepspeed")


def check_names(spec: RunSpec) -> Protocol:
    """Resolve every name of a spec, and check as much as possible, before any data is opened.

    The network is built, and run once if the side of its input is known; its weights file and the label file are
    read.

    Raises:
        UnknownNameError: with suggestions.
        MissingPackageError, WeightsError, MissingDataError, BadDataError: a package or a file is missing or wrong.
        SpecError: a network that fails, or incompatible settings, such as a loss of classes for a task of
            values.
    """
    from fer_bench.data.augmentation import changes_nothing, settings_of
    from fer_bench.data.label_file import read_labels
    from fer_bench.datasets.load import dataset_class

    require_plugins()
    dataset_class(spec.dataset)
    find_model(spec.model)
    for registry, name in ((OPTIMIZERS, spec.optimizer), (SCHEDULES, spec.schedule)):
        registry[name]
    settings = settings_of(spec.augment, spec.augment_options)
    check_progressive(spec)
    check_idle(spec)
    check_temporal(spec)
    kept = snapshot_epoch(spec)
    if kept is not None and kept > spec.epochs:
        problem = f"snapshot = {spec.snapshot!r}: the run has {spec.epochs} epochs."
        raise SpecError(problem, f"Use epoch_1 to epoch_{spec.epochs}, best or last.")
    if spec.tta and spec.tta_kind == "random" and changes_nothing(settings):
        problem = (
            f"tta = {spec.tta} with tta_kind = 'random' averages views of the training augmentation, but augment ="
            f" {spec.augment!r} changes nothing."
        )
        raise SpecError(problem, "Choose an augmentation, or tta_kind=flip, five_crop or ten_crop.")
    protocol = spec.judge
    check_mixing(spec, protocol.task.kind)
    if spec.method_options and spec.method == "plain":
        problem = f"method_options.{min(spec.method_options)} with method = 'plain' changes nothing."
        raise SpecError(problem, f"Set method too, for example method={DISTILL}, or leave method_options out.")
    if spec.labels and spec.target_mode != "hard":
        problem = (
            f"labels: a label file has one class per image, which does not go with target_mode = {spec.target_mode!r}."
        )
        raise SpecError(problem, "Use target_mode=hard.")
    if protocol.task.kind != "classes" and spec.stopper == "findingemo":
        problem = "stopper = 'findingemo' watches the weighted F1, which only tasks of classes have."
        raise SpecError(problem, "Use stopper=patience.")
    if protocol.task.kind == "classes":
        check_class_loss(spec.loss)
        if spec.value_scale != "unit":
            problem = f"value_scale = {spec.value_scale!r} is for values; task {spec.task!r} has classes."
            raise SpecError(problem, "Leave it out, or use a task such as va.")
    elif protocol.task.kind == "labels":
        check_label_settings(spec)
        build_label_loss(spec.loss, None, spec.label_smoothing, dict(spec.loss_options))
    else:
        check_value_settings(spec)
        build_value_loss(spec.loss, dict(spec.loss_options))
    if spec.labels and protocol.task.labels is not None:
        read_labels(Path(spec.execution.labels_file or spec.labels), protocol.task.labels)
    check_packages(spec.execution)
    _check_strategy(spec.execution.strategy)
    if radius_of(spec.optimizer_options) and spec.execution.strategy.startswith(SHARDED):
        problem = (
            f"optimizer_options.{SAM} with strategy = {spec.execution.strategy!r}: each process holds a part of the"
            " weights only."
        )
        raise SpecError(problem, f"Use --strategy ddp, or leave {SAM} out.")
    network = try_specified(spec, protocol.task.n_outputs)
    check_dropout_schedule(spec, network)
    _task_of(spec, protocol, network, _any_counts(protocol))
    optimizer = build_optimizer(
        spec.optimizer, nn.Linear(1, 1), spec.lr, spec.weight_decay, dict(spec.optimizer_options)
    )
    build_schedule(spec.schedule, optimizer, spec.lr, spec.epochs, 1, dict(spec.schedule_options))
    return protocol


def _check_strategy(name: str) -> None:
    from lightning.pytorch.strategies import StrategyRegistry

    known = ["auto", *StrategyRegistry.available_strategies()]
    if name not in known:
        kind = "strategy"
        raise unknown_name(kind, name, known)


def build_task(
    spec: RunSpec,
    protocol: Protocol,
    *,
    native_size: int | None = None,
    class_counts: Any = None,
    pretrained: bool = True,
    initial: Initial | None = None,
    taught: torch.Tensor | None = None,
) -> AffectTask:
    """Build the LightningModule of a spec.

    Args:
        spec: the run.
        protocol: gives the label set, or the dimensions and their scale.
        native_size: side of the dataset's images in pixels.
        class_counts: of :func:`counts_of`, for balanced class weights.
        pretrained: False leaves the spec's weights out, where a checkpoint is loaded right after.
        initial: ImageNet's weights where they have been found already.
        taught: outputs of the teachers, for a distillation.
    """
    network = build_specified(
        spec, protocol.task.n_outputs, native_size=native_size, pretrained=pretrained, initial=initial
    )
    if pretrained:
        try_sides(network, spec, protocol.task.n_outputs)
    return _task_of(spec, protocol, network, class_counts, taught)


def _task_of(
    spec: RunSpec, protocol: Protocol, network: Network, class_counts: Any, taught: torch.Tensor | None = None
) -> AffectTask:
    if protocol.task.kind == "labels":
        return MultiLabelTask(spec, network, protocol, class_counts)
    if protocol.task.labels is None:
        return ValenceArousalTask(spec, network, protocol)
    if spec.method == DISTILL:
        return DistillingTask(spec, network, protocol.task.labels, class_counts, taught)
    kind = ExpressionTask if spec.method == "plain" else AutoencodingTask
    return kind(spec, network, protocol.task.labels, class_counts)


def counts_of(datamodule: AffectDataModule, protocol: Protocol) -> Any:
    """Training samples by class (C,), or without and with each category (2, K); None of values."""
    if protocol.task.kind == "values":
        return None
    if protocol.task.kind == "labels":
        return datamodule.label_counts()
    return datamodule.class_counts(protocol.task.n_outputs)


def _any_counts(protocol: Protocol) -> Any:
    n = protocol.task.n_outputs
    return np.ones((2, n) if protocol.task.kind == "labels" else n)
