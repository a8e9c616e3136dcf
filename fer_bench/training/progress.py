"""The progress bar of a training on a terminal: epoch, step, loss, the selecting metric, and the time left."""

from __future__ import annotations

import time
from typing import Any

import lightning as L
from rich.console import Console
from rich.live import Live
from rich.text import Text

from fer_bench.durations import in_words

# Wider lines wrap on many terminals; fewer cells of a bar than this show nothing.
WIDTH, _SHORTEST, _LONGEST = 100, 5, 24
# Seconds between two updates: to read the loss, a GPU has to finish what it does.
_EVERY = 0.25


class Bar(L.Callback):
    """One line that is rewritten while a training runs, and removed at its end.

    Args:
        monitor: metric by which the best epoch is chosen.
        higher_is_better: whether more of it is better.
        console: where to; None: standard error.
    """

    def __init__(self, monitor: str, higher_is_better: bool, console: Console | None = None) -> None:
        self.monitor, self.higher_is_better = monitor, higher_is_better
        self._console = console or Console(stderr=True)
        self._live: Live | None = None
        self._loss: float | None = None
        self._value: float | None = None
        self._best: float | None = None
        self._began = self._shown = 0.0
        self._done_before = self._done = 0

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Show the bar."""
        self._began, self._done_before = time.monotonic(), trainer.current_epoch * int(trainer.num_training_batches)
        self._done = self._done_before
        if trainer.is_global_zero:
            self._live = Live(console=self._console, transient=True, auto_refresh=False)
            self._live.start()
            self._show(trainer, 0)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """One more step."""
        self._done += 1
        if self._live is None or time.monotonic() - self._shown < _EVERY:
            return
        loss = outputs.get("loss") if isinstance(outputs, dict) else outputs
        if loss is not None:
            # Of accumulated batches Lightning gives each one's share.
            self._loss = float(loss) * trainer.accumulate_grad_batches
        self._show(trainer, batch_idx + 1)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Take the epoch's score, which selects the best one."""
        found = trainer.callback_metrics.get(self.monitor)
        if found is not None:
            self._value = float(found)
            better = max if self.higher_is_better else min
            self._best = self._value if self._best is None else better(self._best, self._value)
        self._show(trainer, int(trainer.num_training_batches))

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Remove the bar."""
        self._stop()

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        """Remove the bar, so that the error has a line of its own."""
        self._stop()

    def _stop(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _show(self, trainer: L.Trainer, step: int) -> None:
        if self._live is None:
            return
        self._shown = time.monotonic()
        steps, epochs = int(trainer.num_training_batches), int(trainer.max_epochs or 0)
        text = line(
            (min(trainer.current_epoch + 1, epochs), epochs),
            (step, steps),
            loss=self._loss,
            metric=(self.monitor.rpartition("/")[2], self._value, self._best),
            seconds_left=self._seconds_left(epochs * steps),
            width=min(self._console.width, WIDTH),
        )
        self._live.update(Text(text, no_wrap=True, overflow="crop"), refresh=True)

    def _seconds_left(self, steps: int) -> float | None:
        """Of all epochs that may come, validation included, at the pace so far."""
        done = self._done - self._done_before
        # The first steps allocate memory and choose kernels.
        return None if done < 3 else (time.monotonic() - self._began) / done * max(steps - self._done, 0)


def line(
    epoch: tuple[int, int],
    step: tuple[int, int],
    *,
    loss: float | None,
    metric: tuple[str, float | None, float | None],
    seconds_left: float | None,
    width: int = WIDTH,
) -> str:
    """What the bar shows; never wider than it may be: where there is little room, the least important parts go first.

    Args:
        epoch: the current one, counted from 1, and of how many.
        step: done in this epoch, and of how many.
        loss: of a batch.
        metric: name, value after the last epoch, best so far.
        seconds_left: of the whole training.
        width: cells.
    """
    name, value, best = metric
    head = f"epoch {epoch[0]}/{epoch[1]}"
    count = f"{step[0]}/{step[1]}"
    shown_loss = "" if loss is None else f"loss {loss:.4g}"
    score = "" if value is None else f"{name} {value:.4f}"
    top = "" if best is None else f"best {best:.4f}"
    left = "" if seconds_left is None else f"{in_words(seconds_left)} left"
    for parts in (
        (count, shown_loss, score, top, left),
        (shown_loss, score, top, left),
        (shown_loss, score, left),
        (shown_loss, left),
        (left,),
        (),
    ):
        rest = "  ".join(part for part in parts if part)
        room = width - len(head) - len(rest) - (4 if rest else 2)
        if room >= _SHORTEST:
            cells = min(room, _LONGEST)
            full = round(cells * step[0] / step[1]) if step[1] else 0
            return f"{head}  {'━' * full}{'─' * (cells - full)}{'  ' if rest else ''}{rest}"
    return head[:width]
