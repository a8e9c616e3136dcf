import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from fer_bench.cli.main import app
from fer_bench.labels import FER7
from fer_bench.models.adapter import InputAdapter
from fer_bench.results.store import Store
from fer_bench.training.run import run

SMALL = {"n_train": 40, "n_validation": 20, "n_test": 30}


@pytest.fixture(scope="module")
def trained_stages(tmp_path_factory, cache, tiny):
    spec = tiny(
        model="autoencoder",
        model_options={"code": 32},
        image_size=16,
        dataset_options=SMALL,
        epochs=3,
        batch_size=16,
        augment="none",
        method="two_stage",
        method_options={"reconstruction_epochs": 2, "reconstruction_lr": 0.01},
        schedule="plateau",
        snapshot="epoch_2",
        optimizer="adam",
    )
    folder = tmp_path_factory.mktemp("stages")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FER_BENCH_CACHE", str(cache))
        patch.setenv("FER_BENCH_RUNS", str(folder / "runs"))
        return spec, run(spec, Store(folder / "boards")), folder


@pytest.fixture
def two_stages(trained_stages, home):
    """The run, copied to where a test may change it."""
    spec, record, folder = trained_stages
    for name in ("runs", "boards"):
        shutil.copytree(folder / name, home / name)
    return spec, record


@pytest.mark.draws
def test_two_stages_and_the_picture_of_what_they_reconstruct(two_stages, home):
    _, record = two_stages
    (folder,) = (home / "runs").glob("*-s0")
    first, last, best = (torch.load(folder / f"{name}.ckpt", weights_only=True) for name in ("epoch_2", "last", "best"))
    # The second stage leaves encoder and decoder as the first one made them, running statistics too.
    changed = {
        key.split(".")[2]
        for key, value in last["state_dict"].items()
        if key.startswith("network.body.") and not value.equal(first["state_dict"][key])
    }
    assert changed == {"classifier"}
    # An untrained classifier may look good by chance; it is never the best.
    assert best["epoch"] == 2
    assert record.training["best_epoch"] == 3
    curves = record.training["curves"]
    assert curves["validation/accuracy"][:2] == [None, None]
    assert curves["validation/accuracy"][2] is not None
    assert curves["validation/loss"][:2] == curves["validation/reconstruction"][:2]
    assert len(curves["validation/reconstruction"]) == 3

    command = ["report", record.run_id, "--out", str(home / "out"), "--reconstructions", "9"]
    result = CliRunner().invoke(app, command, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    picture = home / "out" / "reconstructions.png"
    width, height = Image.open(picture).size
    assert width > 2 * height
    assert "Test images and their reconstructions" in (home / "out" / "report.html").read_text()
    drawn = picture.read_bytes()
    # Without the checkpoint a line says why the picture is missing, and the rest is there.
    for path in folder.glob("*.ckpt"):
        path.unlink()
    picture.unlink()
    result = CliRunner().invoke(app, command, catch_exceptions=False)
    assert result.exit_code == 0
    assert "no reconstructions: the checkpoint of run" in result.output
    assert not picture.exists()
    assert len(drawn) > 1000


def test_the_pictures_columns_go_round_the_classes(two_stages):
    from fer_bench.datasets.load import build_datamodule
    from fer_bench.training.reconstructions import reconstruct

    spec, record = two_stages
    shown = reconstruct(record, 9)
    assert shown.originals.shape == shown.reconstructed.shape == (9, 16, 16, 3)
    n_classes = len(np.unique(build_datamodule(spec).targets("test")))
    assert len(set(shown.names[:n_classes])) == n_classes
    assert len(set(shown.names)) == n_classes < 9
    assert 0 <= shown.originals.min() < shown.originals.max() <= 1
    # Every column is the image of its class that is next in the split.
    dataset = build_datamodule(spec).split_dataset("test")
    targets, taken = dataset.targets.numpy(), []
    for name in shown.names:
        taken.append(next(i for i in np.flatnonzero(targets == FER7.index(name)) if i not in taken))
    images = torch.from_numpy(np.stack([dataset.images[i] for i in taken]))[:, None]
    wanted = InputAdapter("unit", 16)(images).permute(0, 2, 3, 1).numpy()
    np.testing.assert_allclose(shown.originals, wanted, atol=1e-4)
