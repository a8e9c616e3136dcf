"""ExpressionTask: one label out of a set (FER7, FER8, Emo8, Arousal3, Valence3, ...)."""

from __future__ import annotations

from typing import Any

import torch
import torchmetrics
from torch import nn

from fer_bench import metrics
from fer_bench.labels import LabelSet
from fer_bench.scoring.classification import confusion_statistics
from fer_bench.spec import RunSpec
from fer_bench.tasks.base import AffectTask, MeanLoss
from fer_bench.tasks.losses import balanced_weights, build_loss
from fer_bench.tasks.mixing import Prepared, Targets


class ClassScores(torchmetrics.Metric):
    """Scores of a confusion matrix that fills batch by batch, by the function that scores a record: a class without
    samples counts in neither.

    Args:
        n_classes: C.
        prefix: of the names of the scores.
    """

    higher_is_better = True
    full_state_update = False
    confusion: torch.Tensor

    def __init__(self, n_classes: int, prefix: str = "") -> None:
        super().__init__()
        self.n_classes, self.prefix = n_classes, prefix
        self.add_state("confusion", torch.zeros(n_classes, n_classes, dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, logits: torch.Tensor, targets: torch.Tensor) -> None:
        """Add logits (B, C) and their classes (B,)."""
        cells = targets * self.n_classes + logits.argmax(dim=1)
        # Compared, not counted: the sums are the same on every device, also where only deterministic functions are
        # allowed.
        counts = (cells[:, None] == torch.arange(self.n_classes**2, device=cells.device)).sum(dim=0)
        self.confusion += counts.view(self.n_classes, self.n_classes)

    def compute(self) -> dict[str, torch.Tensor]:
        """Each metric that a confusion matrix holds, a scalar; NaN where it is undefined."""
        found, like = confusion_statistics(self.confusion.cpu().numpy()), self.confusion
        return {
            f"{self.prefix}{name}": torch.tensor(float(found[name]), dtype=torch.float32, device=like.device)
            for name in metrics.names("confusion")
        }


class ExpressionTask(AffectTask):
    """Classification over a label set.

    Args:
        spec: the run.
        network: returns logits (B, C).
        label_set: the classes.
        class_counts: shape (C,), training samples per class; needed for ``class_weights: balanced``.
    """

    def __init__(self, spec: RunSpec, network: nn.Module, label_set: LabelSet, class_counts: Any = None) -> None:
        self.label_set = label_set
        self._class_counts = class_counts
        super().__init__(spec, network)

    def configure_losses(self) -> None:
        """The named loss, with class weights and label smoothing if set."""
        weight = (
            balanced_weights(self._class_counts)
            if self.spec.class_weights == "balanced" and self._class_counts is not None
            else None
        )
        spec, soft = self.spec, self.spec.target_mode in ("cross_entropy", "multi_target")
        self.loss = build_loss(
            spec.loss,
            self.label_set,
            weight,
            spec.label_smoothing,
            dict(spec.loss_options),
            self._class_counts,
            soft=soft,
        )

    def configure_metrics(self) -> None:
        """Every metric that a protocol can select by on validation, running accuracy and loss on training."""
        n = len(self.label_set)
        self.train_accuracy = torchmetrics.classification.MulticlassAccuracy(n, average="micro")
        self.validation_metrics = ClassScores(n, prefix="validation/")
        self.train_loss = MeanLoss()
        self.validation_loss = MeanLoss()

    def columns(self, batch: dict[str, torch.Tensor]) -> Targets:
        """With ``target_mode: probability`` a class is sampled for each image."""
        drawn = self.spec.target_mode == "probability"
        return {"target": torch.multinomial(batch["target"], 1).squeeze(1) if drawn else batch["target"]}

    def criterion(self, outputs: torch.Tensor, targets: Targets) -> torch.Tensor:
        """The named loss."""
        loss: torch.Tensor = self.loss(outputs, targets["target"])
        return loss

    def note(self, batch: Prepared, loss: torch.Tensor, outputs: torch.Tensor) -> None:
        """Of mixed images, the accuracy is by the class of the larger part."""
        super().note(batch, loss, outputs)
        target = batch.larger["target"]
        self.train_accuracy.update(outputs, target if target.ndim == 1 else target.argmax(dim=1))

    def training_scores(self) -> dict[str, torchmetrics.Metric]:
        """Loss and accuracy."""
        return {**super().training_scores(), "train/accuracy": self.train_accuracy}

    def validation_step(self, batch: dict[str, torch.Tensor], batch_idx: int) -> None:
        """Add one batch to the epoch's scores."""
        self.validate(self.answers(batch), batch["target"])

    def validate(self, logits: torch.Tensor, target: torch.Tensor) -> None:
        """Add logits (B, C) and their classes (B,) to the epoch's scores."""
        # Plain cross-entropy: comparable between runs trained with different losses.
        self.validation_loss.update(nn.functional.cross_entropy(logits, target), len(logits))
        self.validation_metrics.update(logits, target)

    def on_validation_epoch_end(self) -> None:
        """Log the epoch's validation scores."""
        self.log("validation/loss", self.validation_loss.compute(), prog_bar=True)
        self.log_dict(self.validation_metrics.compute(), prog_bar=True)

    def outputs(self, logits: torch.Tensor) -> torch.Tensor:
        """Class probabilities, (B, C)."""
        return logits.softmax(dim=1)
