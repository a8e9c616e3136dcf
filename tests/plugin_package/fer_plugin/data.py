"""Dark squares are calm, bright ones are tense, and the brighter a square, the more it hurts."""

import numpy as np

from fer_bench.data.datamodule import AffectDataModule
from fer_bench.data.samples import Samples
from fer_plugin.tasks import MOODS, PAIN


def read_squares(data_dir: str, n: int = 48) -> Samples:
    rng = np.random.default_rng(0)
    labels = np.arange(n) % 2
    images = np.where(labels[:, None, None] == MOODS.index("calm"), 60, 180) + rng.integers(-40, 40, (n, 48, 48))
    pain = (images.mean(axis=(1, 2)) / 16).clip(*PAIN.scale)
    return Samples(
        ids=np.array([f"square-{i:03d}" for i in range(n)]),
        images=images.astype(np.uint8),
        split=np.array(["train", "train", "validation", "test"]).repeat(2)[np.arange(n) % 8],
        targets={MOODS.name: labels, PAIN.name: pain[:, None].astype(np.float32), "fer7": labels},
        layout="made",
    )


class Squares(AffectDataModule):
    dataset = "squares"

    def read(self) -> Samples:
        return read_squares("", **self.options)
