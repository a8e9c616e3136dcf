"""A network of this suite as a backbone: its own features, keyed by its weights, and grids of heads on other
datasets."""

import shutil

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from fer_bench.cli.main import app
from fer_bench.data.computed import dataset_identity
from fer_bench.data.provenance import data_facts
from fer_bench.datasets.load import build_datamodule
from fer_bench.errors import RecordError, SpecError, WeightsError
from fer_bench.leaderboard.verify import verify
from fer_bench.probes.backbones import build_backbone
from fer_bench.probes.features import Place, extract, run_batch
from fer_bench.probes.grid import run_grid
from fer_bench.probes.grid_found import origins_of, runs_of_files
from fer_bench.probes.settings import build_probe, with_dataset_defaults
from fer_bench.results.begin import run_folder
from fer_bench.results.store import Store
from fer_bench.spec import RunSpec
from fer_bench.training.run import run
from tests.fakes import make_faces, make_votes, write_csv, write_votes

SMALL = {"n_train": 96, "n_validation": 40, "n_test": 48, "difficulty": 0.2}
SPEC = RunSpec.model_validate(
    {
        "dataset": "synthfaces",
        "dataset_options": SMALL,
        "model_options": {"width": 4},
        "epochs": 1,
        "batch_size": 32,
        "precision": "32-true",
        "execution": {"accelerator": "cpu"},
    }
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("RUNS", "LEADERBOARDS", "CACHE"):
            patch.setenv(f"FER_BENCH_{name}", str(folder / name.lower()))
        record = run(SPEC)
    return record, folder


@pytest.fixture
def here(trained, tmp_path):
    """The finished run, copied to where this test may change it."""
    record, folder = trained
    for name in ("runs", "leaderboards", "cache"):
        shutil.copytree(folder / name, tmp_path / name)
    return record, Store()


def read(spec=SPEC):
    datamodule = build_datamodule(spec)
    datamodule.setup()
    return datamodule


def test_its_predictions_are_those_of_the_run(here):
    record, store = here
    backbone = build_backbone(f"run:{record.run_id}", outputs="predictions", store=store)
    samples = read().read_samples
    at = samples.where("test")
    images = torch.from_numpy(np.stack([samples.images[int(i)] for i in at]))[:, None]
    np.testing.assert_allclose(
        run_batch(backbone.module, images, Place()), store.predictions(record).outputs, atol=1e-3
    )
    assert build_backbone(f"run:{record.run_id}", store=store).module(images).shape == (len(at), 64)


def test_other_weights_never_meet_its_cache(here):
    record, store = here
    datamodule = read()
    images, identity = datamodule.read_samples.images, dataset_identity(datamodule)
    first = extract(build_backbone(f"run:{record.run_id}", store=store), images, identity)
    assert extract(build_backbone(f"run:{record.run_id}", store=store), images, identity).n_computed == 0
    path = run_folder(SPEC, record) / "best.ckpt"
    checkpoint = torch.load(path, weights_only=True)
    name = next(key for key in checkpoint["state_dict"] if key.endswith("features.0.weight"))
    checkpoint["state_dict"][name] += 0.01
    torch.save(checkpoint, path)
    with pytest.raises(WeightsError, match="not the checkpoint that run"):
        build_backbone(f"run:{record.run_id}", store=store)
    # records from before they named their weights cannot be checked, but their features are never another network's
    store.amend(
        record.model_copy(update={"training": {k: v for k, v in record.training.items() if k != "weights_sha256"}})
    )
    again = extract(build_backbone(f"run:{record.run_id}", store=store), images, identity)
    assert again.n_computed == len(images)
    assert again.key != first.key


def test_runs_that_cannot_be_used_are_named(here):
    record, store = here
    with pytest.raises(RecordError, match="no record"):
        build_backbone("run:ffff", store=store)
    code = {"plugins": {"model": {"name": "my_pkg.net:Net", "object": "my_pkg.net:Net", "sha256": "f" * 64}}}
    changed = record.model_copy(update={"run_id": "c-s0", "code": code, "inputs": {}})
    (run_folder(SPEC, changed)).mkdir(parents=True, exist_ok=True)
    shutil.copy(run_folder(SPEC, record) / "best.ckpt", run_folder(SPEC, changed) / "best.ckpt")
    store.put(changed)
    with pytest.raises(WeightsError, match=r"code of its network, my_pkg\.net:Net, is not what it was trained with"):
        build_backbone("run:c-s0", store=store)
    shutil.rmtree(run_folder(SPEC, record))
    with pytest.raises(WeightsError, match=r"the checkpoint of run .* is not at"):
        build_backbone(f"run:{record.run_id}", store=store)
    store.put(record.model_copy(update={"kind": "evaluated", "run_id": "e-s0"}))
    with pytest.raises(WeightsError, match="kind 'evaluated'"):
        build_backbone("run:e-s0", store=store)


@pytest.mark.parametrize("outputs", ["features", "predictions"])
def test_a_model_over_clips_is_no_backbone_of_single_images(here, outputs):
    record, store = here
    over_clips = record.model_copy(update={"run_id": "abc", "spec": {**record.spec, "temporal": "gru"}})
    store.put(over_clips, {})
    with pytest.raises(SpecError, match=r"abc is a temporal model \(gru\): it answers clips"):
        build_backbone("run:abc", outputs=outputs, store=store)


def grid_of(record, **settings):
    given = {"dataset": "synthfaces", "dataset_options": SMALL, "task": "fer7", "loss": ("cross_entropy",)}
    small = {"lr": (0.01,), "seeds": (0,), "max_epochs": 1}
    return build_probe({"streams": (f"features:run:{record.run_id}",), **given, **small, **settings})


@pytest.mark.parametrize("options", [{"fold": 0}, {}])
def test_heads_are_not_tested_on_what_their_network_was_trained_on(here, options):
    record, store = here
    folded = grid_of(record, dataset_options={**SMALL, "folds": 2, "fold_by": "identity", **options})
    with pytest.raises(SpecError, match=f"run {record.run_id} was trained on .*synthfaces.* tested"):
        run_grid(folded, store)
    assert run_grid(grid_of(record), store)[0].caveats == []


def test_a_checkpoint_that_is_named_as_a_file_is_its_run(here):
    record, store = here
    weights = {"five_layer_cnn": str(run_folder(SPEC, record) / "best.ckpt")}
    given = {"streams": ("features:five_layer_cnn",), "weights": weights}
    facts = [data_facts(read(), SPEC.judge)]
    named = grid_of(record, **given)
    found = origins_of(named, store, facts, runs_of_files(named, store))
    assert [one.run_id for one in found] == [record.run_id]
    folded = grid_of(record, **given, dataset_options={**SMALL, "folds": 2, "fold_by": "identity"})
    with pytest.raises(SpecError, match=f"run {record.run_id} was trained on synthfaces"):
        origins_of(folded, store, facts * 2, runs_of_files(folded, store))


def test_heads_have_the_caveats_of_their_network(here):
    record, store = here
    store.amend(record.model_copy(update={"caveats": ["extra labels"]}))
    assert run_grid(grid_of(record), store)[0].caveats == ["extra labels"]


@pytest.mark.parametrize(
    ("dataset", "protocol", "n_classes"), [("fer2013", "fer2013-fer7", 7), ("ferplus", "ferplus-fer8", 8)]
)
def test_a_grid_over_fer2013s_faces(here, tmp_path, dataset, protocol, n_classes):
    record, store = here
    faces = make_faces((12, 4, 4))
    votes = make_votes(faces)
    # Contempt has no face in FER2013; every split needs one.
    votes[::9] = np.eye(10, dtype=np.int64)[7] * 8
    write_csv(tmp_path / "data" / "fer2013", faces)
    write_votes(tmp_path / "data" / "fer2013", faces, votes)
    given = [
        "probe",
        "--dataset",
        dataset,
        "--backbone",
        f"run:{record.run_id[:6]}",
        "--seeds",
        "0,1",
        "--lr",
        "0.01,0.001",
        "--epochs",
        "2",
    ]
    found = CliRunner().invoke(app, [*given, "--accelerator", "cpu"])
    assert found.exit_code == 0, found.output
    records = list(store.records(protocol))
    assert len(records) == 4
    assert {r.model for r in records} == {f"run:{record.run_id}"}
    assert {r.spec["loss"] for r in records} == {"cross_entropy"}
    assert len(records[0].metrics["per_class"]["f1"]) == n_classes
    assert verify(Store(), [protocol]).n_verified == 4
    assert verify(Store()).ok
    assert record.run_id in (store.root / f"{protocol}.md").read_text()


def test_classes_without_distances_have_one_loss():
    found = build_probe(with_dataset_defaults({"dataset": "ferplus", "streams": ["features:x"]}))
    assert (found.task, found.loss) == ("fer8", ("cross_entropy",))
    assert build_probe(with_dataset_defaults({"dataset": "fer2013", "streams": ["features:x"]})).task == "fer7"
    assert len(build_probe(with_dataset_defaults({"dataset": "synthscenes", "streams": ["features:x"]})).loss) == 2
    with pytest.raises(SpecError, match="no distances"):
        run_grid(build_probe({"dataset": "fer2013", "task": "fer7", "streams": ["features:x"]}))
