"""ValenceArousalTask: continuous valence and arousal, or one of them."""

from __future__ import annotations

from typing import Any

import torch
import torchmetrics
from torch import nn

from fer_bench.errors import SpecError
from fer_bench.protocols import Protocol
from fer_bench.spec import RunSpec
from fer_bench.tasks.base import AffectTask, MeanLoss
from fer_bench.tasks.mixing import Prepared, Targets
from fer_bench.tasks.value_losses import build_value_loss


class StreamingCCC(torchmetrics.Metric):
    """Concordance correlation coefficient per dimension from running sums, exact over any number of batches and
    processes.

    Unlike torchmetrics' own it uses population moments throughout, so that it agrees with the published score.

    Args:
        dimensions: D.
    """

    higher_is_better = True
    full_state_update = False
    sums: torch.Tensor
    n: torch.Tensor

    def __init__(self, dimensions: int) -> None:
        super().__init__()
        self.add_state("sums", torch.zeros(5, dimensions, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("n", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, outputs: torch.Tensor, targets: torch.Tensor) -> None:
        """Add a batch (B, D)."""
        o, t = outputs.to(self.sums), targets.to(self.sums)
        self.sums += torch.stack([o.sum(0), t.sum(0), (o * o).sum(0), (t * t).sum(0), (o * t).sum(0)])
        self.n += len(o)

    def compute(self) -> torch.Tensor:
        """CCC of each dimension, shape (D,); 0 where both sides are constant and equal, because nothing was
        distinguished.
        """
        o, t, oo, tt, ot = self.sums / self.n.clamp_min(1)
        spread = (oo - o * o) + (tt - t * t) + (o - t).square()
        return torch.where(spread > 0, 2 * (ot - o * t) / spread.clamp_min(1e-30), torch.zeros_like(spread)).float()


class ValenceArousalTask(AffectTask):
    """Regression of the protocol's dimensions, without an activation at the end.

    Targets arrive and predictions leave in the dataset's units. The network and the loss are on the scale -1 to 1, or
    in the dataset's units with ``value_scale: dataset``; the validation scores are on the scale -1 to 1. This class is
    the one place where one becomes the other.

    Args:
        spec: the run.
        network: returns (B, D).
        protocol: gives the dimensions and the dataset's scale.
    """

    def __init__(self, spec: RunSpec, network: nn.Module, protocol: Protocol) -> None:
        self.dimensions = protocol.task.dimensions
        low, high = protocol.scale
        self._middle, self._half = (low + high) / 2, (high - low) / 2
        self._in_units = spec.value_scale == "dataset"
        super().__init__(spec, network)

    def configure_losses(self) -> None:
        """The named loss of values."""
        check_value_settings(self.spec)
        self.loss = build_value_loss(self.spec.loss, dict(self.spec.loss_options), len(self.dimensions))

    def configure_metrics(self) -> None:
        """Mean squared error and CCC on validation, running loss on training."""
        self.train_loss = MeanLoss()
        self.validation_error = torchmetrics.MeanSquaredError(num_outputs=len(self.dimensions))
        self.validation_ccc = StreamingCCC(len(self.dimensions))

    def to_unit(self, values: torch.Tensor) -> torch.Tensor:
        """The dataset's units to -1 to 1."""
        return (values - self._middle) / self._half

    def from_unit(self, values: torch.Tensor) -> torch.Tensor:
        """-1 to 1 to the dataset's units."""
        return values * self._half + self._middle

    def prepare(self, batch: dict[str, torch.Tensor], batch_idx: int) -> Prepared:
        """Of mixed images the values are mixed too: losses of values are not linear in them."""
        prepared = super().prepare(batch, batch_idx)
        if prepared.share == 1:
            return prepared
        own, other = prepared.targets["target"], prepared.partners["target"]
        return Prepared(prepared.images, {"target": prepared.share * own + (1 - prepared.share) * other})

    def criterion(self, outputs: torch.Tensor, targets: Targets) -> torch.Tensor:
        """The named loss, on the scale that the network is trained on."""
        values = targets["target"] if self._in_units else self.to_unit(targets["target"])
        loss: torch.Tensor = self.loss(outputs, values)
        return loss

    def validation_step(self, batch: dict[str, torch.Tensor], batch_idx: int) -> None:
        """Add one batch to the epoch's scores."""
        outputs, targets = self.answers(batch), self.to_unit(batch["target"])
        outputs = self.to_unit(outputs) if self._in_units else outputs
        self.validation_error.update(outputs, targets)
        self.validation_ccc.update(outputs, targets)

    def on_validation_epoch_end(self) -> None:
        """Log the epoch's scores: ``validation/loss`` is the mean squared error, comparable between runs trained with
        different losses.
        """
        # torchmetrics takes the dimension of a single element away.
        errors, ccc = torch.atleast_1d(self.validation_error.compute()), torch.atleast_1d(self.validation_ccc.compute())
        scores: dict[str, Any] = {
            "validation/loss": errors.mean(),
            "validation/ccc": ccc.mean(),
            "validation/rmse": errors.sqrt().mean(),
        }
        scores |= {f"validation/{name}_ccc": ccc[d] for d, name in enumerate(self.dimensions)}
        self.log_dict(scores, prog_bar=True)

    def outputs(self, logits: torch.Tensor) -> torch.Tensor:
        """Values in the dataset's units, (B, D)."""
        return logits if self._in_units else self.from_unit(logits)


def check_value_settings(spec: RunSpec) -> None:
    """Reject settings that apply to classes only.

    Raises:
        SpecError: names the setting and its neutral value.
    """
    neutral = {"label_smoothing": 0.0, "class_weights": "none", "target_mode": "hard", "labels": "", "method": "plain"}
    for key, value in neutral.items():
        given = getattr(spec, key)
        if given != value:
            problem = f"{key} = {given!r} means nothing for the values of task {spec.task!r}."
            raise SpecError(problem, f"Use {key}={value if value != '' else 'nothing'}.")
