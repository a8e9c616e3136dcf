"""How FindingEmo's networks were trained: the learning-rate rule and the stopping rule, for one model or for many heads
at once.

Source: Mertens et al., FindingEmo (2024), section 3, equation (2). The paper follows both quantities on its test set;
give the stopping rule the validation set's to select cleanly. Torch-free.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

PATIENCE = 6
MAX_EPOCHS = 250

Watched = Literal["loss", "weighted_f1"]


def learning_rate_factor(epoch: int) -> float:
    """Factor of equation (2), ``1 / sqrt(floor(e / 3) + 1)``: the rate changes once every three epochs.

    For ``torch.optim.lr_scheduler.LambdaLR``, stepped once per epoch; the text below the equation says that its
    division is a floor division.

    Args:
        epoch: counted from 0.

    Returns:
        In (0, 1]; 1 in epochs 0 to 2.
    """
    return float(1.0 / np.sqrt(epoch // 3 + 1))


def learning_rates(starts: npt.ArrayLike, epoch: int) -> npt.NDArray[np.float64]:
    """Learning rates of many heads at an epoch, equation (2).

    Args:
        starts: starting rate per head, shape (H,).
        epoch: counted from 0.

    Returns:
        Shape (H,).
    """
    return np.asarray(starts, dtype=np.float64) * learning_rate_factor(epoch)


class StoppingRules:
    """The paper's stopping rule for many heads that train side by side.

    A head stops when its epoch of lowest loss *or* its epoch of highest weighted F1 is ``patience`` epochs before the
    current one, or when ``max_epochs`` are done. The best epoch of the criterion that ran out is the head's model.
    Where both ran out together, or the limit stopped it, the paper names none: weighted F1, which it reports, decides.
    Ties keep the earlier epoch; NaN is never an improvement.

    Args:
        heads: number of heads H.
        patience: epochs without a new best.
        max_epochs: limit of epochs.

    Attributes:
        epoch: epochs seen so far.
        running: shape (H,), bool; heads that have not stopped.
        stopped_at: shape (H,), epoch (from 0) in which a head stopped, -1 while it runs.
        best_loss_epoch: shape (H,), epoch (from 0) of the lowest loss, -1 before the first.
        best_f1_epoch: shape (H,), epoch (from 0) of the highest weighted F1, -1 before the first.
    """

    def __init__(self, heads: int, patience: int = PATIENCE, max_epochs: int = MAX_EPOCHS) -> None:
        self.patience = patience
        self.max_epochs = max_epochs
        self.epoch = 0
        self.running = np.ones(heads, dtype=bool)
        self.stopped_at = np.full(heads, -1)
        self.best_loss = np.full(heads, np.inf)
        self.best_f1 = np.full(heads, -np.inf)
        self.best_loss_epoch = np.full(heads, -1)
        self.best_f1_epoch = np.full(heads, -1)
        self._loss_ran_out = np.zeros(heads, dtype=bool)

    def update(self, losses: npt.ArrayLike, weighted_f1s: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """Take in the next epoch.

        Args:
            losses: shape (H,); entries of heads that have stopped are ignored.
            weighted_f1s: shape (H,), likewise.

        Returns:
            Shape (H,): heads that have stopped, in this epoch or before.
        """
        loss, f1 = np.asarray(losses, dtype=np.float64), np.asarray(weighted_f1s, dtype=np.float64)
        lower, higher = self.running & (loss < self.best_loss), self.running & (f1 > self.best_f1)
        self.best_loss[lower], self.best_loss_epoch[lower] = loss[lower], self.epoch
        self.best_f1[higher], self.best_f1_epoch[higher] = f1[higher], self.epoch

        # A head that never had a finite value counts from epoch 0, so that it stops as well.
        loss_out = self.epoch - np.maximum(self.best_loss_epoch, 0) >= self.patience
        f1_out = self.epoch - np.maximum(self.best_f1_epoch, 0) >= self.patience
        stops = self.running & (loss_out | f1_out | (self.epoch + 1 >= self.max_epochs))
        self._loss_ran_out[stops] = (loss_out & ~f1_out)[stops]
        self.stopped_at[stops] = self.epoch
        self.running &= ~stops
        self.epoch += 1
        return ~self.running

    @property
    def chosen_epoch(self) -> npt.NDArray[np.int64]:
        """Epoch (from 0) of each head's final model, shape (H,); for running heads, that of the best weighted F1 so
        far.
        """
        return np.where(self._loss_ran_out, self.best_loss_epoch, self.best_f1_epoch)


class StoppingRule:
    """The paper's stopping rule for one model; see :class:`StoppingRules`.

    Args:
        patience: epochs without a new best.
        max_epochs: limit of epochs.
    """

    def __init__(self, patience: int = PATIENCE, max_epochs: int = MAX_EPOCHS) -> None:
        self._rules = StoppingRules(1, patience, max_epochs)

    def update(self, loss: float, weighted_f1: float) -> bool:
        """Take in the next epoch; True when training is over."""
        return bool(self._rules.update([loss], [weighted_f1])[0])

    @property
    def chosen_by(self) -> Watched:
        """The criterion whose best epoch is the final model."""
        return "loss" if self._rules._loss_ran_out[0] else "weighted_f1"

    @property
    def chosen_epoch(self) -> int:
        """Epoch (from 0) of the final model; before the end, of the best weighted F1 so far."""
        return int(self._rules.chosen_epoch[0])
