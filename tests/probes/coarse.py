"""A backbone that costs nothing: a mean over a coarse grid of the picture."""

import pytest
from torch import nn

import fer_bench.probes.grid as grid_module
import fer_bench.probes.streams as streams_module
from fer_bench.probes.backbones import Backbone
from fer_bench.results.store import Store


class Coarse(nn.Module):
    def __init__(self, width, probabilities):
        super().__init__()
        self.width, self.probabilities = width, probabilities

    def forward(self, images):
        values = nn.functional.adaptive_avg_pool2d(images.float().mean(1, keepdim=True), (1, self.width)).flatten(1)
        return (values / 64).softmax(1) if self.probabilities else values / 64


def build(name, *, outputs="features", weights="auto", **_):
    wide = {"features": 12, "predictions": 7}[outputs]
    return Backbone(name, Coarse(wide, outputs == "predictions"), f"{name}{weights}", outputs, 1000)


@pytest.fixture(autouse=True)
def small_backbones(monkeypatch):
    """Of a module that imports it: no other backbone is built."""
    monkeypatch.setattr(streams_module, "build_backbone", build)
    monkeypatch.setattr(grid_module, "full_name", lambda stream, store: stream)


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "leaderboards")
