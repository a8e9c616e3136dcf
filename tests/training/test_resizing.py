"""Progressive resizing: which side the network sees when, and who refuses it."""

import pytest
import torch

from fer_bench.errors import SpecError
from fer_bench.models.adapter import InputAdapter
from fer_bench.models.five_layer_cnn import FiveLayerCNN
from fer_bench.training.resizing import side_in
from fer_bench.training.run import run

NARROW = {"model": "resnet18", "model_options": {"stem": "small", "stem_stride": 2, "width": 0.1}, "image_size": 48}


def test_the_side_grows_evenly_and_ends_full():
    sides = [side_in(epoch, 16, 32, 48, 4) for epoch in range(16)]
    assert sides == [32, 32, 32, 36, 36, 36, 40, 40, 40, 44, 44, 44, 48, 48, 48, 48]
    assert [side_in(epoch, 16, 32, 48, 16) for epoch in range(16)] == [32] * 12 + [48] * 4


@pytest.mark.parametrize(
    ("epochs", "start", "full", "step"),
    [(1, 32, 48, 4), (2, 32, 48, 16), (7, 33, 50, 5), (100, 24, 224, 32), (9, 32, 48, 40)],
)
def test_the_side_never_shrinks_nor_leaves_its_range(epochs, start, full, step):
    sides = [side_in(epoch, epochs, start, full, step) for epoch in range(epochs)]
    assert sides == sorted(sides)
    assert sides[0] == start
    assert max(sides) <= full
    assert epochs < 4 or sides[-1] == full


@pytest.mark.parametrize("side", [16, 24, 32, 40, 47])
def test_the_five_layer_cnn_bears_images_that_have_not_grown_up(side):
    network = FiveLayerCNN(7).eval()
    small = torch.rand(2, 3, side, side)
    assert network(small).shape == (2, 7)
    # Each of the positions that the dense layers know is filled, from its own place in the image.
    left = small.clone()
    left[..., : side // 2] = 0
    assert (network(left) != network(small)).any()


def test_training_sees_growing_images_and_everything_else_full_ones(home, tiny, monkeypatch):
    seen = []
    forward = InputAdapter.forward

    def watch(self, images):
        adapted = forward(self, images)
        # a single image is the trial before training
        if len(images) > 1:
            seen.append((self.training, adapted.shape[-1]))
        return adapted

    monkeypatch.setattr(InputAdapter, "forward", watch)
    record = run(tiny(**NARROW, epochs=4, progressive_from=32))
    trained = [side for training, side in seen if training]
    # Three steps an epoch.
    assert trained == [32] * 3 + [36] * 3 + [40] * 3 + [48] * 3
    assert {side for training, side in seen if not training} == {48}
    # The stored predictions are of the full side too.
    assert record.validation_metrics["accuracy"] == pytest.approx(
        max(record.training["curves"]["validation/accuracy"]), abs=1e-6
    )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"model": "autoencoder", "progressive_from": 32}, "autoencoder takes images of one side only"),
        ({"progressive_from": 15}, "five_layer_cnn needs at least 16 px"),
        ({**NARROW, "progressive_from": 48}, "not smaller than image_size = 48"),
        ({**NARROW, "image_size": None, "progressive_from": 64}, "the network's input has 32 px"),
        ({"model": "vgg11", "image_size": 64, "progressive_from": 16}, "vgg11 needs at least 32 px"),
    ],
)
def test_what_cannot_grow_is_refused(home, tiny, settings, message):
    if settings.get("model"):
        settings = {"model_options": {}, **settings}
    with pytest.raises(SpecError, match=message):
        run(tiny(**settings))
    assert not list((home / "boards").rglob("*.json"))
