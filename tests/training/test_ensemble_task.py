import numpy as np
import pytest
import torch

from fer_bench.datasets.load import build_datamodule
from fer_bench.deploy.loading import load_any, load_ensemble
from fer_bench.deploy.predictor import RunPredictor
from fer_bench.ensembles.build import build_ensemble
from fer_bench.errors import RecordError, WeightsError
from fer_bench.models import trained
from fer_bench.protocols import protocol_for
from fer_bench.results.store import Store
from fer_bench.training.inference import RandomView, random_views
from fer_bench.training.run import run
from tests.training.conftest import SMALL

RULES = {
    "majority": {"rule": "majority"},
    "weighted": {"rule": "weighted"},
    "soft": {"rule": "soft"},
    "greedy": {"selection": "greedy", "bags": 2},
    "mixture": {"selection": "mixture"},
    "stacking": {"selection": "stack"},
}
PROTOCOL = protocol_for("synthfaces", "fer7")
# Enough of each class for the stacker's folds.
FACES = {"n_train": 96, "n_validation": 40, "n_test": 48, "difficulty": 0.2}
# Two trainings and four rows; a batch of random views holds the whole split.
ROWS = [
    {"seed": 0},
    {"seed": 1, "tta": 2},
    {"seed": 1, "tta": 2, "tta_kind": "flip"},
    {"seed": 0, "tta": 10, "tta_kind": "ten_crop"},
]


@pytest.fixture(scope="module")
def members(tmp_path_factory, cache, tiny):
    """Stored rows of two small trainings, and an ensemble by every rule."""
    folder = tmp_path_factory.mktemp("members")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FER_BENCH_CACHE", str(cache))
        patch.setenv("FER_BENCH_RUNS", str(folder / "runs"))
        store = Store(folder / "boards")
        specs = [
            tiny(epochs=3, batch_size=8, lr=0.003, augment="standard", dataset_options=FACES, **row) for row in ROWS
        ]
        for spec in specs:
            run(spec, store)
        ensembles = {name: build_ensemble(store, PROTOCOL, **options) for name, options in RULES.items()}
    return folder, store, specs, ensembles


@pytest.fixture
def stored(members, home, monkeypatch):
    folder, store, specs, ensembles = members
    monkeypatch.setenv("FER_BENCH_RUNS", str(folder / "runs"))
    return store, specs, ensembles


@pytest.mark.parametrize(
    ("split", "rule"),
    [
        *(("test", rule) for rule in RULES),
        ("validation", "stacking"),
        *(pytest.param("validation", rule, marks=pytest.mark.proof) for rule in RULES if rule != "stacking"),
    ],
)
def test_the_task_gives_what_the_stored_predictions_give(stored, rule, split):
    store, specs, ensembles = stored
    loaded = load_any(store, ensembles[rule].run_id)
    expected = store.predictions(ensembles[rule], split)
    # Any of the specs: the loader gives the images as they are, in the order of the split.
    batches = list(build_datamodule(specs[0]).predict_loader(split))
    outputs = torch.cat([loaded.task.predict_step(batch) for batch in batches]).numpy()
    assert outputs.dtype == np.float32
    np.testing.assert_allclose(outputs, expected.outputs, atol=2e-6)
    # The members are not all alike, or any joining would do.
    alone = [
        store.predictions(store.find(PROTOCOL.name, m["model"], m["run_id"]), split).outputs
        for m in ensembles[rule].training["members"]
    ]
    assert rule in ("greedy", "mixture") or all(np.abs(one - expected.outputs).max() > 1e-3 for one in alone)


@pytest.mark.parametrize("row", range(len(ROWS)))
def test_a_single_run_predicts_with_its_own_views(stored, row):
    store, specs, _ = stored
    record = store.get(specs[row].run_id())
    images = torch.cat([batch["image"] for batch in build_datamodule(specs[row]).predict_loader("test")]).numpy()
    outputs = RunPredictor.load(store, record.run_id, "cpu").predict(images)
    expected = store.predictions(record, "test").outputs
    if ROWS[row].get("tta_kind", "random") == "random" and "tta" in ROWS[row]:
        # Images from elsewhere have no position in a split, which random views are drawn from: each is seen as the
        # first one is.
        np.testing.assert_allclose(outputs[0], expected[0], atol=2e-6)
        np.testing.assert_allclose(
            outputs[5], RunPredictor.load(store, record.run_id, "cpu").predict(images[5:6])[0], atol=2e-6
        )
    else:
        np.testing.assert_allclose(outputs, expected, atol=2e-6)
    assert (
        "tta" not in ROWS[row]
        or np.abs(outputs - RunPredictor.load(store, specs[0].run_id(), "cpu").predict(images)).max() > 1e-4
    )


def test_each_network_is_loaded_once(stored, monkeypatch):
    store, _, ensembles = stored
    read = []
    real = trained.load_weights
    monkeypatch.setattr(trained, "load_weights", lambda task, path: read.append(path) or real(task, path))
    loaded = load_ensemble(store, ensembles["soft"])
    assert len(loaded.task.members) == len(ROWS)
    assert len(read) == len(set(read)) == len(loaded.task.networks) == 2
    assert not any(module.training for module in loaded.task.modules())
    assert loaded.native_size == 48


def test_members_see_their_own_views(stored):
    store, specs, ensembles = stored
    loaded = load_ensemble(store, ensembles["soft"])
    by_name = {member.name.split("/")[1]: i for i, member in enumerate(loaded.task.members)}
    (batch,) = build_datamodule(specs[0]).predict_loader("test")
    outputs = loaded.task.member_outputs(batch["image"], 0).detach().numpy()
    for spec in specs:
        record = store.find(PROTOCOL.name, spec.model, spec.run_id())
        np.testing.assert_allclose(outputs[by_name[spec.run_id()]], store.predictions(record).outputs, atol=1e-6)


@pytest.mark.parametrize("on", ["loader", "device"])
def test_random_views_are_the_loaders_where_the_position_is_known(home, tiny, on):
    spec = tiny(augment="standard", augment_on=on, tta=2, dataset_options=SMALL | {"n_test": 300})
    datamodule = build_datamodule(spec)
    plain = list(datamodule.predict_loader("test"))
    assert len(plain) == 2
    for view, random_view in enumerate(random_views(spec)):
        for batch, changed in zip(plain, datamodule.predict_loader("test", augmented=True, view=view), strict=True):
            assert torch.equal(
                random_view(batch["image"], int(batch["index"][0])),
                datamodule.on_after_batch_transfer(changed, 0)["image"],
            )
    colour = torch.randint(0, 256, (3, 3, 48, 48), dtype=torch.uint8)
    view = random_views(spec)[0]
    assert view(colour, 0).shape == colour.shape
    # From elsewhere: each as the first of a split, whatever its place.
    assert torch.equal(view(colour.flip(0)), view(colour).flip(0))
    assert torch.equal(view(colour)[0], view(colour, 0)[0])


def test_an_image_from_elsewhere_is_answered_alike_whatever_stands_beside_it(stored):
    store, specs, ensembles = stored
    loaded = load_ensemble(store, ensembles["soft"])
    (batch,) = build_datamodule(specs[0]).predict_loader("test")
    images = batch["image"][:6]
    together = loaded.task.predict_step({"image": images})
    alone = torch.cat([loaded.task.predict_step({"image": image[None]}) for image in images])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)
    # Its random views are those of the first image of a split, whatever its place.
    view = next(v for member in loaded.task.members for v in member.views if isinstance(v, RandomView))
    elsewhere, in_split = view(images), view(images, 0)
    assert torch.equal(elsewhere[0], in_split[0])
    assert not torch.equal(elsewhere[1:], in_split[1:])


def test_predict_takes_an_ensemble(stored, home):
    import cv2

    from fer_bench.deploy.predict import predict_files

    store, specs, ensembles = stored
    images = build_datamodule(specs[0]).split_dataset("test").images
    for i in range(3):
        assert cv2.imwrite(str(home / f"{i}.png"), np.asarray(images[i]))
    rows = predict_files(store, ensembles["majority"].run_id, [home / f"{i}.png" for i in range(3)], "cpu")
    loaded = load_ensemble(store, ensembles["majority"])
    stack = torch.from_numpy(np.stack([images[i] for i in range(3)]))[:, None]
    np.testing.assert_allclose([row.outputs for row in rows], loaded.task(stack).numpy(), atol=2e-6)
    assert all(row.label for row in rows)


def test_a_member_without_a_checkpoint_or_a_network_is_named(stored, monkeypatch, tmp_path):
    store, _, ensembles = stored
    monkeypatch.setenv("FER_BENCH_RUNS", str(tmp_path / "nothing"))
    with pytest.raises(
        WeightsError, match=r"ensemble \w+: member five_layer_cnn/\S+: the checkpoint of run \S+ is not at"
    ):
        load_any(store, ensembles["soft"].run_id)
    record = ensembles["soft"]
    gone = [entry | {"run_id": "gone-s0"} for entry in record.training["members"]]
    with pytest.raises(RecordError, match="member five_layer_cnn/gone-s0 is not in the store"):
        load_ensemble(store, record.model_copy(update={"training": record.training | {"members": gone}}))
    with pytest.raises(RecordError, match="not of an ensemble"):
        load_ensemble(store, record.model_copy(update={"kind": "trained"}))
    other = Store(tmp_path / "boards")
    for entry in record.training["members"]:
        found = store.find(PROTOCOL.name, entry["model"], entry["run_id"])
        other.put(found.model_copy(update={"kind": "probe"}))
    with pytest.raises(WeightsError, match=r"member five_layer_cnn/\S+: run \S+ is of kind 'probe'"):
        load_ensemble(other, record)


def test_members_trained_on_images_of_other_sizes_are_refused(stored, tmp_path):
    store, _, ensembles = stored
    record, other = ensembles["soft"], Store(tmp_path / "boards")
    for i, entry in enumerate(record.training["members"]):
        found = store.find(PROTOCOL.name, entry["model"], entry["run_id"])
        other.put(found.model_copy(update={"data": found.data | {"image_size": 48 if i else 64}}))
    with pytest.raises(WeightsError, match="images of different sizes"):
        load_ensemble(other, record)


def test_an_ensemble_of_values_predicts_as_it_is_stored(home, tiny):
    store, protocol = Store(home / "boards"), protocol_for("synthfaces", "va")
    # As many people in validation as the stacker has folds.
    faces = FACES | {"n_validation": 120}
    settings = {"task": "va", "loss": "mse", "epochs": 2, "batch_size": 8, "lr": 0.003, "dataset_options": faces}
    specs = [tiny(**settings, seed=seed) for seed in range(2)]
    for spec in specs:
        run(spec, store)
    (batch,) = build_datamodule(specs[0]).predict_loader("test")
    for options in ({}, {"rule": "weighted_mean"}, {"selection": "stack"}):
        record = build_ensemble(store, protocol, **options)
        expected = store.predictions(record).outputs
        outputs = load_any(store, record.run_id).task.predict_step(batch).numpy()
        np.testing.assert_allclose(outputs, expected, atol=2e-6)
        predictor = RunPredictor.load(store, record.run_id, "cpu")
        assert predictor.card.names == ("valence", "arousal")
        np.testing.assert_allclose(predictor.predict(batch["image"].numpy()), expected, atol=2e-6)
