"""The weights that a run begins with are one of its inputs: other weights under the same name are another run."""

import pytest
import timm
import torch

from fer_bench.errors import WeightsError
from fer_bench.models.zoo import build_network
from fer_bench.probes.grid import run_grid
from fer_bench.probes.settings import build_probe
from fer_bench.results.begin import run_folder
from fer_bench.results.inputs import WEIGHTS
from fer_bench.results.store import Store
from fer_bench.spec import build
from fer_bench.sweeps.todo import todo
from fer_bench.training import run as run_module
from fer_bench.training.run import run

NAME = "mobilenetv3_small_050"


@pytest.fixture(autouse=True)
def no_hub(monkeypatch):
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda repo, name: None)
    create = timm.create_model

    def offline(name, **settings):
        if settings.get("pretrained") and "state_dict" not in settings.get("pretrained_cfg_overlay", {}):
            raise ConnectionError("no route to host")
        return create(name, **settings)

    monkeypatch.setattr(timm, "create_model", offline)


@pytest.fixture
def folder(own_folders):
    (own_folders / "data" / "weights").mkdir(parents=True)
    return own_folders / "data" / "weights"


def put(folder, seed):
    torch.manual_seed(seed)
    torch.save(build_network(f"timm:{NAME}", 1000, native_size=64).body.state_dict(), folder / f"{NAME}.pth")


def spec(options, **settings):
    base = {
        "model": f"timm:{NAME}",
        "weights": "imagenet",
        "image_size": 32,
        "epochs": 1,
        "batch_size": 32,
        "precision": "32-true",
        "dataset_options": options,
    }
    return build({**base, "execution": {"accelerator": "cpu", "workers": 0}, **settings})


def test_other_weights_are_another_run(folder, small_synth, capsys, monkeypatch):
    store, settings = Store(), spec(small_synth)
    assert todo([(settings, ())], store).runs == [settings]
    with monkeypatch.context() as patch:
        patch.setattr(run_module, "build_datamodule", lambda *_, **__: pytest.fail("the data were read first"))
        with pytest.raises(WeightsError, match="cannot be downloaded"):
            run(settings, store)
    put(folder, 1)
    first = run(settings, store)
    assert f"weights: the file {NAME}.pth in the folder of weights, sha256 " in capsys.readouterr().out
    stated = first.training["initial_weights"]
    assert stated["source"] == f"the file {NAME}.pth in the folder of weights"
    assert first.inputs[WEIGHTS] == stated["sha256"][:16]
    assert run(settings, store) == first
    assert todo([(settings, ())], store).runs == []

    put(folder, 2)
    assert todo([(settings, ())], store).runs == [settings]
    second = run(settings, store)
    assert second.run_id.startswith(first.run_id + "-x")
    assert second.inputs[WEIGHTS] != first.inputs[WEIGHTS]
    assert run_folder(settings, second) != run_folder(settings, first)
    # another seed on the second weights is a seed of the second row
    third = run(spec(small_synth, seed=1), store)
    assert third.row == second.row != first.row

    # What is done is answered where the weights are not.
    (folder / f"{NAME}.pth").unlink()
    assert run(settings, store) == first
    assert todo([(settings, ())], store).runs == []
    with pytest.raises(WeightsError, match="cannot be downloaded"):
        run(settings, store, force=True)


def test_a_file_of_the_users_is_in_the_record(folder, small_synth):
    put(folder, 1)
    record = run(spec(small_synth, weights=str(folder / f"{NAME}.pth")))
    assert record.training["initial_weights"]["source"] == "a file of the user's"
    assert "left fresh: body.classifier.bias (7,), (1000,) in the file" in record.training["initial_weights"]["taken"]
    assert str(folder) not in record.model_dump_json()
    # its digest is in the settings
    assert WEIGHTS not in record.inputs


def test_runs_from_scratch_say_nothing_of_weights(small_synth):
    record = run(spec(small_synth, weights="none"))
    assert WEIGHTS not in record.inputs
    assert "initial_weights" not in record.training


def test_frozen_probes_use_them_and_say_so(folder, small_synth, capsys):
    put(folder, 1)
    settings = build_probe(
        {
            "dataset": "synthfaces",
            "task": "fer7",
            "dataset_options": small_synth,
            "streams": [f"features:timm:{NAME}"],
            "lr": [0.01],
            "loss": ["cross_entropy"],
            "seeds": [0],
            "max_epochs": 2,
            "image_size": 32,
        }
    )
    (record,) = run_grid(settings)
    assert f"weights of features:timm:{NAME}: the file {NAME}.pth in the folder of weights" in capsys.readouterr().out
    assert (
        record.training["initial_weights"][f"features:timm:{NAME}"]["source"]
        == f"the file {NAME}.pth in the folder of weights"
    )
    put(folder, 2)
    (other,) = run_grid(settings)
    assert other.run_id != record.run_id
    assert other.inputs != record.inputs
