"""AffectTask: the base of all LightningModules of the suite: how they are built, optimised and logged.

A task never sees the datamodule. Classes come from the label set that the protocol names; a batch is a plain dict.
"""

from __future__ import annotations

from typing import Any

import lightning as L
import torch
import torchmetrics
from torch import nn

from fer_bench.spec import RunSpec
from fer_bench.tasks.finetuning import FineTuning
from fer_bench.tasks.mixing import Mixing, Prepared, Targets
from fer_bench.tasks.schedules import build_optimizer, build_schedule
from fer_bench.tasks.sharpness import Sharpness, radius_of


def autocast(accelerator: str, precision: str) -> torch.autocast:
    """Mixed precision by Lightning's name, where the accelerator has it."""
    kind = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}.get(precision)
    if accelerator == "cpu" and kind is torch.float16:
        kind = None
    return torch.autocast(accelerator, dtype=kind or torch.bfloat16, enabled=kind is not None)


class MeanLoss(torchmetrics.Metric):
    """Mean of batches' mean losses, weighted by their sizes, over all processes.

    ``torchmetrics.MeanMetric`` skips NaN, which hides a diverged loss; configured not to, it ignores the
    weights (1.9.0).
    """

    total: torch.Tensor
    n: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("total", torch.zeros(()), dist_reduce_fx="sum")
        self.add_state("n", torch.zeros(()), dist_reduce_fx="sum")

    def update(self, loss: torch.Tensor, n: int) -> None:
        """Add the mean loss of ``n`` samples."""
        self.total = self.total + loss * n
        self.n = self.n + n

    def compute(self) -> torch.Tensor:
        """The mean, a scalar."""
        return self.total / self.n


class AffectTask(L.LightningModule):
    """Base of all tasks; a subclass implements three methods and :meth:`criterion`.

    Args:
        spec: the run.
        network: takes uint8 images (B, 1 or 3, H, W).
    """

    train_loss: MeanLoss

    def __init__(self, spec: RunSpec, network: nn.Module) -> None:
        super().__init__()
        self.spec = spec
        self.network = network
        self.mixing = Mixing.of(spec)
        radius = radius_of(spec.optimizer_options)
        self.sharpness = Sharpness(network, radius) if radius else None
        self.finetuning = FineTuning.of(spec, self._body)
        if self.finetuning is not None and not self.finetuning.every:
            # From the start: what never trains has no place in an optimiser, or in what processes exchange.
            self.finetuning.apply(self._body, 0)
        self.configure_losses()
        self.configure_metrics()

    @property
    def _body(self) -> nn.Module:
        return getattr(self.network, "body", self.network)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the spec as plain text: a checkpoint file is self-describing, and still loads with
        ``weights_only=True``.
        """
        checkpoint["spec"] = self.spec.model_dump_json()

    def configure_losses(self) -> None:
        """Set ``self.loss``."""
        raise NotImplementedError

    def configure_metrics(self) -> None:
        """Set ``self.train_loss``, and the metrics of validation."""
        raise NotImplementedError

    def outputs(self, logits: torch.Tensor) -> torch.Tensor:
        """The stored predictions: probabilities or values, float32."""
        raise NotImplementedError

    def forward(self, images: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        """Raw outputs of the network; ``lengths`` are those of clips, where a batch has any."""
        return self.network(images) if lengths is None else self.network(images, lengths)

    def answers(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        """Raw outputs for a batch, (N, C), float32."""
        return self(batch["image"], batch.get("lengths")).float()

    def criterion(self, outputs: torch.Tensor, targets: Targets) -> torch.Tensor:
        """Mean loss of a batch's outputs, float32."""
        raise NotImplementedError

    def columns(self, batch: dict[str, torch.Tensor]) -> Targets:
        """The targets of a batch, before mixing."""
        return {"target": batch["target"]}

    def prepare(self, batch: dict[str, torch.Tensor], batch_idx: int) -> Prepared:
        """Random choices for a batch, made once for all its forward passes."""
        prepared = Prepared(batch["image"], self.columns(batch), lengths=batch.get("lengths"))
        return (
            prepared
            if self.mixing is None
            else self.mixing.mix(prepared, self.current_epoch, batch_idx, self.global_rank)
        )

    def loss_of(self, batch: Prepared) -> tuple[torch.Tensor, torch.Tensor]:
        """Forward pass of a prepared batch: its loss, and the outputs; does not update the metrics."""
        outputs = self(batch.images, batch.lengths)
        loss = self.criterion(outputs.float(), batch.targets)
        if batch.share < 1:
            loss = batch.share * loss + (1 - batch.share) * self.criterion(outputs.float(), batch.partners)
        return loss, outputs

    def note(self, batch: Prepared, loss: torch.Tensor, outputs: torch.Tensor) -> None:
        """Add a batch to the epoch's training scores."""
        self.train_loss.update(loss, len(outputs))

    def training_step(self, batch: dict[str, torch.Tensor], batch_idx: int) -> torch.Tensor:
        """Loss of one batch; metrics are kept on the device and read once per epoch."""
        prepared = self.prepare(batch, batch_idx)
        if self.sharpness is None:
            loss, outputs = self.loss_of(prepared)
            self.note(prepared, loss.detach(), outputs.detach())
            return loss
        steep, loss, outputs = self.sharpness.climb(lambda: self.loss_of(prepared), self._scaled)
        self.note(prepared, loss, outputs)
        return steep

    def on_after_backward(self) -> None:
        """Restore the weights from where the gradient was taken."""
        if self.sharpness is not None:
            self.sharpness.descend()

    def _scaled(self, loss: torch.Tensor) -> torch.Tensor:
        scaler = getattr(self.trainer.precision_plugin, "scaler", None) if self._trainer is not None else None
        return loss if scaler is None else scaler.scale(loss)

    def predict_step(self, batch: dict[str, torch.Tensor], batch_idx: int = 0) -> torch.Tensor:
        """Predictions of a batch, (B, C), float32."""
        return self.outputs(self.answers(batch))

    def training_scores(self) -> dict[str, torchmetrics.Metric]:
        """Metrics of training by the names they are logged under."""
        return {"train/loss": self.train_loss}

    def on_train_epoch_start(self) -> None:
        """Reset the scores that an interrupted epoch has left."""
        self._reset_metrics()
        if self.finetuning is not None:
            self.finetuning.apply(self._body, self.current_epoch)

    def on_train_batch_end(self, outputs: Any, batch: dict[str, torch.Tensor], batch_idx: int) -> None:
        """Log the epoch's training scores with its last batch: ``on_train_epoch_end`` comes after that of the callbacks
        that read them.
        """
        if self.trainer.is_last_batch:
            for name, metric in self.training_scores().items():
                self.log(name, metric.compute(), on_step=False, on_epoch=True, batch_size=1)

    def on_validation_epoch_start(self) -> None:
        """Reset the validation scores; those of training have been logged by now."""
        self._reset_metrics()

    def _reset_metrics(self) -> None:
        for child in self.children():
            if isinstance(child, torchmetrics.Metric | torchmetrics.MetricCollection):
                child.reset()

    def configure_optimizers(self) -> Any:
        """Optimiser and schedule by name, from the spec."""
        spec = self.spec
        prefix = "body." if self._body is not self.network else ""
        optimizer = build_optimizer(
            spec.optimizer,
            self.network,
            spec.lr,
            spec.weight_decay,
            dict(spec.optimizer_options),
            None if self.finetuning is None else self.finetuning.rates(prefix),
        )
        steps = max(int(self.trainer.estimated_stepping_batches) // spec.epochs, 1)
        schedule = build_schedule(spec.schedule, optimizer, spec.lr, spec.epochs, steps, dict(spec.schedule_options))
        if schedule is None:
            return optimizer
        if "monitor" in schedule:
            # Stepped by epoch, Lightning would do so after the epoch's checkpoint is written, and a resumed run would
            # miss a step.
            schedule |= {"interval": "step", "frequency": self.trainer.num_training_batches}
        return {"optimizer": optimizer, "lr_scheduler": schedule}
