"""Dropout that changes while a network trains: which rates when, and who refuses it."""

import pytest
from torch import nn

from fer_bench.errors import SpecError
from fer_bench.training.callbacks import EpochSeed
from fer_bench.training.dropout_schedule import share_in
from fer_bench.training.run import run


def test_the_rates_follow_their_schedule():
    shares = {name: [share_in(name, epoch, 8) for epoch in range(8)] for name in ("rising", "early", "late")}
    assert shares["rising"] == [epoch / 7 for epoch in range(8)]
    assert shares["early"] == [1, 0.75, 0.5, 0.25, 0, 0, 0, 0]
    assert shares["late"] == [0, 0, 0, 0, 1, 1, 1, 1]
    assert [share_in(name, 0, 1) for name in shares] == [0, 1, 0]


def test_training_sees_the_rates_of_the_epoch(home, tiny, monkeypatch):
    seen = []
    start = EpochSeed.on_train_batch_start

    def watch(self, trainer, pl_module, batch, batch_idx):
        seen.append({layer.p for layer in pl_module.network.modules() if isinstance(layer, nn.Dropout)})
        start(self, trainer, pl_module, batch, batch_idx)

    monkeypatch.setattr(EpochSeed, "on_train_batch_start", watch)
    run(tiny(epochs=4, dropout_schedule="late"))
    assert seen == [{0.0}] * 6 + [{0.1, 0.2}] * 6


def test_a_network_without_dropout_has_no_schedule(home, tiny):
    with pytest.raises(
        SpecError, match="dropout_schedule = 'rising': five_layer_cnn as it is built here has no dropout"
    ):
        run(tiny(dropout_schedule="rising", model_options={"width": 4, "dropout": 0, "head_dropout": 0}))
