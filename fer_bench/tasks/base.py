"""AffectTask: what all LightningModules of the suite share: how they are built, optimised and watched.

A task never sees the datamodule. Classes come from the label set that the protocol names; a batch is a plain dict.
"""

from __future__ import annotations

from typing import Any

import lightning as L
import torch
from torch import nn

from fer_bench.spec import RunSpec
from fer_bench.tasks.schedules import build_optimizer, build_schedule


class AffectTask(L.LightningModule):
    """Base of all tasks; a subclass fills in three methods and :meth:`training_loss`.

    Args:
        spec: the run.
        network: takes uint8 images (B, 1 or 3, H, W).
    """

    def __init__(self, spec: RunSpec, network: nn.Module) -> None:
        super().__init__()
        self.spec = spec
        self.network = network
        self.configure_losses()
        self.configure_metrics()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the spec as plain text: a checkpoint file alone says what it is, and still loads with ``weights_only=True``."""
        checkpoint["spec"] = self.spec.model_dump_json()

    def configure_losses(self) -> None:
        """Set ``self.loss``."""
        raise NotImplementedError

    def configure_metrics(self) -> None:
        """Set the metrics of training and validation."""
        raise NotImplementedError

    def outputs(self, logits: torch.Tensor) -> torch.Tensor:
        """What is stored as prediction: probabilities or values, float32."""
        raise NotImplementedError

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Raw outputs of the network."""
        return self.network(images)

    def predict_step(self, batch: dict[str, torch.Tensor], batch_idx: int = 0) -> torch.Tensor:
        """Predictions of a batch, (B, C), float32."""
        return self.outputs(self(batch["image"]).float())

    def configure_optimizers(self) -> Any:
        """Optimiser and schedule by name, from the spec."""
        spec = self.spec
        optimizer = build_optimizer(spec.optimizer, self.network, spec.lr, spec.weight_decay, dict(spec.optimizer_options))
        steps = max(int(self.trainer.estimated_stepping_batches) // spec.epochs, 1)
        schedule = build_schedule(spec.schedule, optimizer, spec.lr, spec.epochs, steps, dict(spec.schedule_options))
        if schedule is None:
            return optimizer
        if "monitor" in schedule:
            # By epoch, Lightning would step it after the epoch's checkpoint is written: a resumed run would be one step short.
            schedule |= {"interval": "step", "frequency": self.trainer.num_training_batches}
        return {"optimizer": optimizer, "lr_scheduler": schedule}
