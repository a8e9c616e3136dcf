"""MultiLabelTask: any number of categories a sample, as EMOTIC's 26."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torchmetrics
from torch import nn
from torchmetrics.utilities import dim_zero_cat

from fer_bench import metrics
from fer_bench.errors import SpecError
from fer_bench.metric_plugins import compute
from fer_bench.protocols import Protocol
from fer_bench.scoring.multilabel import Categories
from fer_bench.spec import RunSpec
from fer_bench.tasks.base import AffectTask, MeanLoss
from fer_bench.tasks.label_losses import build_label_loss
from fer_bench.tasks.mixing import Targets


class LabelScores(torchmetrics.Metric):
    """Scores of several labels over all batches and processes, by the functions that score a record.

    Args:
        prefix: of the names of the scores.
    """

    full_state_update = False
    probabilities: list[torch.Tensor]
    targets: list[torch.Tensor]

    def __init__(self, prefix: str = "") -> None:
        super().__init__()
        self.prefix = prefix
        self.add_state("probabilities", [], dist_reduce_fx="cat")
        self.add_state("targets", [], dist_reduce_fx="cat")

    def update(self, probabilities: torch.Tensor, targets: torch.Tensor) -> None:
        """Add probabilities (B, K) and whether each sample has each category (B, K)."""
        self.probabilities.append(probabilities.detach())
        self.targets.append(targets)

    def compute(self) -> dict[str, torch.Tensor]:
        """Each metric of several labels, a scalar; NaN where it is undefined."""
        both = (dim_zero_cat(state) for state in (self.probabilities, self.targets))
        probabilities, targets = (found.cpu().numpy() for found in both)
        # A diverged network's outputs order nothing.
        given = Categories(
            targets, np.where(np.isfinite(probabilities).all(axis=1, keepdims=True), probabilities, np.nan)
        )
        return {
            f"{self.prefix}{metric.name}": torch.tensor(float(compute(metric, given)), device=self.device)
            for metric in metrics.of_kind("labels")
        }


class MultiLabelTask(AffectTask):
    """A probability of each category, by a sigmoid each.

    Args:
        spec: the run.
        network: returns logits (B, K).
        protocol: names the categories.
        label_counts: shape (2, K), training samples without and with each category; needed for
            ``class_weights: balanced``.
    """

    def __init__(self, spec: RunSpec, network: nn.Module, protocol: Protocol, label_counts: Any = None) -> None:
        self.categories = protocol.task.dimensions
        self._counts = label_counts if spec.class_weights == "balanced" else None
        super().__init__(spec, network)

    def configure_losses(self) -> None:
        """The named loss, with class weights and label smoothing if set."""
        check_label_settings(self.spec)
        spec, n = self.spec, len(self.categories)
        self.loss = build_label_loss(spec.loss, self._counts, spec.label_smoothing, dict(spec.loss_options), n)

    def configure_metrics(self) -> None:
        """Average precision on validation, running loss on training."""
        self.train_loss, self.validation_loss = MeanLoss(), MeanLoss()
        self.validation_scores = LabelScores("validation/")

    def columns(self, batch: dict[str, torch.Tensor]) -> Targets:
        """Whether each sample has each category, float32."""
        return {"target": batch["target"].float()}

    def criterion(self, outputs: torch.Tensor, targets: Targets) -> torch.Tensor:
        """The named loss."""
        loss: torch.Tensor = self.loss(outputs, targets["target"])
        return loss

    def validation_step(self, batch: dict[str, torch.Tensor], batch_idx: int) -> None:
        """Add one batch to the epoch's scores."""
        logits, targets = self(batch["image"]).float(), batch["target"]
        # Plain binary cross-entropy: comparable between runs trained with different losses.
        loss = nn.functional.binary_cross_entropy_with_logits(logits, targets.float())
        self.validation_loss.update(loss, len(logits))
        self.validation_scores.update(logits.sigmoid(), targets)

    def on_validation_epoch_end(self) -> None:
        """Log the epoch's scores."""
        self.log("validation/loss", self.validation_loss.compute(), prog_bar=True)
        self.log_dict(self.validation_scores.compute(), prog_bar=True)

    def outputs(self, logits: torch.Tensor) -> torch.Tensor:
        """Probabilities of the categories, (B, K)."""
        return logits.sigmoid()


def check_label_settings(spec: RunSpec) -> None:
    """Reject settings that apply to classes or values only.

    Raises:
        SpecError: names the setting and its neutral value.
    """
    neutral = {"target_mode": "hard", "labels": "", "method": "plain", "value_scale": "unit"}
    for key, value in neutral.items():
        given = getattr(spec, key)
        if given != value:
            problem = f"{key} = {given!r} means nothing for the labels of task {spec.task!r}."
            raise SpecError(problem, f"Use {key}={value if value != '' else 'nothing'}.")
