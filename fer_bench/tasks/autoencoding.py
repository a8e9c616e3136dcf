"""AutoencodingTask: a classifier that shares its encoder with a decoder (An, Liu and Zheng, section 4.2).

*multitask*: cross-entropy + lambda x reconstruction, equation (3). *two_stage*: first reconstruction alone, equation
(1); then the classifier alone, on the frozen code. Both are one training: the second stage begins after
``reconstruction_epochs``. Only epochs of the second can be the best one, and a schedule that waits for a plateau
watches what the stage trains: the reconstruction error, then the classifier's loss, each from its own learning rate on.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from fer_bench.errors import SpecError
from fer_bench.labels import LabelSet
from fer_bench.models.autoencoder import AutoencoderClassifier
from fer_bench.models.zoo import Network
from fer_bench.spec import RunSpec
from fer_bench.tasks.base import MeanLoss
from fer_bench.tasks.expression import ExpressionTask
from fer_bench.tasks.mixing import Prepared, Targets

OPTIONS = {"reconstruction_weight": 1.0, "reconstruction_epochs": 0, "reconstruction_lr": 0.0}


class AutoencodingTask(ExpressionTask):
    """Classification with reconstruction.

    ``method_options``: ``reconstruction_weight`` (lambda), and for two stages ``reconstruction_epochs`` and
    ``reconstruction_lr`` (the paper: 0.05). The reconstruction error is the mean squared error of pixels in [0, 1].

    Args:
        spec: the run; ``method`` is ``multitask`` or ``two_stage``.
        network: a :class:`Network` around an :class:`AutoencoderClassifier` with a decoder.
        label_set: the classes.
        class_counts: shape (C,).

    Raises:
        SpecError: another network, an unknown option, or two stages without epochs for the first.
    """

    def __init__(self, spec: RunSpec, network: nn.Module, label_set: LabelSet, class_counts: Any = None) -> None:
        if (
            not isinstance(network, Network)
            or not isinstance(network.body, AutoencoderClassifier)
            or network.body.decoder is None
        ):
            problem = f"method = {spec.method!r} needs a network with a decoder, not {spec.model!r}."
            raise SpecError(problem, "Use model=autoencoder.")
        unknown = set(spec.method_options) - set(OPTIONS)
        if unknown:
            problem = f"method_options.{min(unknown)}: there is no such option."
            raise SpecError(problem, f"Options: {', '.join(OPTIONS)}.")
        options = {**OPTIONS, **spec.method_options}
        self.weight = float(options["reconstruction_weight"])  # type: ignore[arg-type]
        self.first_stage = int(options["reconstruction_epochs"]) if spec.method == "two_stage" else 0  # type: ignore[arg-type]
        if spec.method == "two_stage" and not 0 < self.first_stage < spec.epochs:
            problem = (
                f"method = 'two_stage' with epochs = {spec.epochs}: method_options.reconstruction_epochs ="
                f" {self.first_stage} leaves a stage without epochs."
            )
            raise SpecError(problem, "Set method_options.reconstruction_epochs between 1 and epochs - 1.")
        if spec.method == "two_stage" and spec.early_stopping:
            problem = "method = 'two_stage' with early_stopping: the first stage trains nothing that it could watch."
            raise SpecError(problem, "Leave early_stopping out.")
        super().__init__(spec, network, label_set, class_counts)
        self.adapter, self.body, self.decoder = network.adapter, network.body, network.body.decoder

    def configure_metrics(self) -> None:
        """The expression task's, and the reconstruction error on validation."""
        super().configure_metrics()
        self.validation_reconstruction = MeanLoss()

    @property
    def reconstructing_only(self) -> bool:
        """Whether this is the first of two stages."""
        return bool(self.current_epoch < self.first_stage)

    @property
    def _classifying_only(self) -> bool:
        return self.spec.method == "two_stage" and not self.reconstructing_only

    def on_train_epoch_start(self) -> None:
        """Freeze encoder and decoder, their running statistics too, once the second stage begins."""
        super().on_train_epoch_start()
        if self._classifying_only:
            for part in (self.body.encoder, self.decoder):
                part.eval()
                part.requires_grad_(requires_grad=False)
            if self.current_epoch == self.first_stage:
                self._restart_plateau()

    def _restart_plateau(self) -> None:
        """The reduced learning rate and the lowest loss of the first stage do not apply to the
        classifier.
        """
        schedules = self.lr_schedulers()
        for schedule in schedules if isinstance(schedules, list) else [schedules]:
            if isinstance(schedule, torch.optim.lr_scheduler.ReduceLROnPlateau):
                schedule._reset()
                for group in schedule.optimizer.param_groups:
                    group["lr"] = self.spec.lr

    def columns(self, batch: dict[str, torch.Tensor]) -> Targets:
        """With a reconstruction loss, distributions are used as targets directly."""
        return super().columns(batch) if self._classifying_only else {"target": batch["target"]}

    def loss_of(self, batch: Prepared) -> tuple[torch.Tensor, torch.Tensor]:
        """Loss and logits of one batch."""
        if self._classifying_only:
            return super().loss_of(batch)
        logits, error = self._both(batch.images)
        if self.reconstructing_only:
            return error, logits
        return self.criterion(logits.float(), batch.targets) + self.weight * error, logits

    def validation_step(self, batch: dict[str, torch.Tensor], batch_idx: int) -> None:
        """Add one batch to the epoch's scores."""
        logits, error = self._both(batch["image"])
        self.validate(logits.float(), batch["target"])
        self.validation_reconstruction.update(error, len(logits))

    def on_validation_epoch_end(self) -> None:
        """Log the epoch's validation scores; those of a classifier that is not trained yet are NaN, so that no
        such epoch is the best.
        """
        error = self.validation_reconstruction.compute()
        self.log("validation/reconstruction", error)
        if not self.reconstructing_only:
            super().on_validation_epoch_end()
            return
        self.log("validation/loss", error, prog_bar=True)
        self.log_dict(
            {name: torch.full_like(value, torch.nan) for name, value in self.validation_metrics.compute().items()},
            prog_bar=True,
        )

    def configure_optimizers(self) -> Any:
        """As usual, with a separate learning rate of the first stage if given."""
        configured = super().configure_optimizers()
        lr = float(self.spec.method_options.get("reconstruction_lr") or 0)  # type: ignore[arg-type]
        if self.spec.method == "two_stage" and lr:
            optimizer = configured["optimizer"] if isinstance(configured, dict) else configured
            # What the first stage trains gets no gradient in the second, and the other way round: one optimiser serves
            # both.
            parts = {id(p) for part in (self.body.encoder, self.decoder) for p in part.parameters()}
            for group in list(optimizer.param_groups):
                chosen = [p for p in group["params"] if id(p) in parts]
                group["params"] = [p for p in group["params"] if id(p) not in parts]
                optimizer.add_param_group(
                    {**{k: v for k, v in group.items() if k != "params"}, "params": chosen, "lr": lr, "initial_lr": lr}
                )
        return configured

    def reconstructions(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The target of the reconstruction, and its result: both (B, 3, S, S), pixels in [0, 1], the
        second not clipped, of uint8 images.
        """
        x = self.adapter(images)
        return self._pixels(x), self.body.reconstruct(x)[1].float()

    def _pixels(self, x: torch.Tensor) -> torch.Tensor:
        return (x * self.adapter.std + self.adapter.mean) / 255

    def _both(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = self.adapter(images)
        codes, reconstructed = self.body.reconstruct(x)
        return self.body.classifier(codes), nn.functional.mse_loss(reconstructed.float(), self._pixels(x))
