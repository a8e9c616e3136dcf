"""Heads of values: the losses and closed forms that everybody knows, and grids, fusions and predictions with them."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge
from torch import nn

import fer_bench.probes.streams as streams_module
from fer_bench.datasets.load import build_datamodule
from fer_bench.datasets.synthscenes import read_synthscenes
from fer_bench.deploy.loading import load_any
from fer_bench.deploy.predict import predict_files
from fer_bench.ensembles.build import build_ensemble
from fer_bench.ensembles.members import Pool
from fer_bench.ensembles.recompute import recompute_from_members
from fer_bench.errors import SpecError, UnknownNameError, WeightsError
from fer_bench.leaderboard.render import render
from fer_bench.leaderboard.verify import verify
from fer_bench.probes.closed_form import fit_ridge_heads
from fer_bench.probes.grid import run_grid
from fer_bench.probes.grid_choice import table
from fer_bench.probes.grid_found import data_spec
from fer_bench.probes.head import Head, RidgeHead, heads_of
from fer_bench.probes.heads import initial_weights, train_heads
from fer_bench.probes.losses import ValueLosses, Values
from fer_bench.probes.settings import build_probe, with_dataset_defaults
from fer_bench.probes.stack import Split, data_order
from fer_bench.report.page import report
from fer_bench.results.store import Store
from fer_bench.scoring.regression import ccc
from fer_bench.scoring.ridge import ridge
from fer_bench.scoring.score import score
from fer_bench.tasks.rules_findingemo import learning_rate_factor
from fer_bench.tasks.value_losses import build_value_loss
from tests.probes.coarse import build
from tests.probes.coarse import small_backbones as small_backbones
from tests.probes.coarse import store as store

LOSSES = ("mse", "mae", "ccc", "mse+ccc")
SCENES = {"n_train": 50, "n_validation": 20, "n_test": 20, "width": 96, "height": 72}
GRID = {
    "dataset": "synthscenes",
    "dataset_options": SCENES,
    "task": "va",
    "streams": ("features:resnet18",),
    "loss": ("ridge", "mse", "ccc"),
    "lr": (0.01,),
    "penalty": (0.1, 1.0),
    "seeds": (0, 1),
    "max_epochs": 3,
    "standardise": True,
}


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    """A cache in which the small scenes are rendered already."""
    folder = tmp_path_factory.mktemp("scenes")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FER_BENCH_CACHE", str(folder))
        read_synthscenes(SCENES)
    return folder


@pytest.fixture(autouse=True)
def _rendered(scenes, monkeypatch):
    monkeypatch.setenv("FER_BENCH_CACHE", str(scenes))


def probe(**over):
    return build_probe({**GRID, **over})


def data(n, seed=0, width=12, dtype=torch.float64):
    generator = np.random.default_rng(seed)
    features = generator.normal(size=(n, width))
    true = np.random.default_rng(5).normal(size=(width, 2)) / width
    targets = np.clip(features @ true + 0.1 * generator.normal(size=(n, 2)), -1, 1)
    return Split(torch.from_numpy(features).to(dtype), torch.from_numpy(targets).to(dtype))


@pytest.mark.parametrize("loss", LOSSES)
def test_losses_and_their_slopes_are_those_that_networks_train_on(loss):
    outputs = torch.randn(3, 20, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    targets = data(20).targets.expand(3, -1, -1)
    expected = torch.stack([build_value_loss(loss)(o, t) for o, t in zip(outputs, targets, strict=True)])
    found, slope = ValueLosses("ccc")(loss, outputs.detach(), targets)
    torch.testing.assert_close(found, expected.detach())
    torch.testing.assert_close(slope, torch.autograd.grad(expected.sum(), outputs)[0])


def test_heads_trained_together_are_those_that_plain_torch_trains_one_by_one():
    heads = [Head(lr, loss, seed) for lr in (0.03, 0.003) for loss in LOSSES for seed in (0, 1)]
    train, validation = data(90), data(40, 1)
    found = train_heads(heads, train, validation, Values(2), batch_size=32, max_epochs=4, patience=9)
    scores = np.stack([epoch["validation_ccc"] for epoch in found.history])
    assert not found.classes
    for h, head in enumerate(heads):
        layer = nn.Linear(12, 2, dtype=torch.float64)
        with torch.no_grad():
            for parameter, values in zip(
                layer.parameters(), initial_weights(head.seed, 2, 12, torch.float64), strict=True
            ):
                parameter.copy_(values)
        optimizer, states = torch.optim.Adam(layer.parameters(), lr=head.lr), []
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, learning_rate_factor)
        for epoch in range(4):
            for at in torch.from_numpy(data_order(head.seed, epoch, 90)).split(32):
                optimizer.zero_grad()
                build_value_loss(head.loss)(layer(train.features[at]), train.targets[at]).backward()
                optimizer.step()
            schedule.step()
            states.append([p.detach().clone() for p in layer.parameters()])
            answers = layer(validation.features).detach().numpy()
            expected = np.mean([ccc(validation.targets[:, d].numpy(), answers[:, d]) for d in (0, 1)])
            assert scores[epoch, h] == pytest.approx(expected, abs=1e-9)
        weight, bias = states[found.chosen_epoch[h]]
        torch.testing.assert_close(found.weight[h], weight, rtol=1e-6, atol=1e-9)
        torch.testing.assert_close(found.bias[h], bias, rtol=1e-6, atol=1e-9)


def test_a_metric_of_which_less_is_better_is_watched_the_right_way_round():
    heads = [Head(0.05, "mse", 0)]
    found = train_heads(heads, data(90), data(40, 1), Values(2, "rmse"), batch_size=32, max_epochs=6, patience=6)
    assert found.chosen_epoch[0] == np.argmin([epoch["validation_rmse"][0] for epoch in found.history])


def test_a_score_that_is_undefined_leaves_the_choice_to_the_loss():
    still = data(40, 1)
    still = Split(still.features, torch.zeros_like(still.targets))
    still.features[:] = 0
    found = train_heads([Head(0.05, "mse")], data(90), still, Values(2), batch_size=32, max_epochs=3, patience=3)
    assert found.chosen_epoch[0] >= 0


@pytest.mark.parametrize(("n", "width"), [(40, 12), (400, 300), (100, 300)])
def test_ridge_heads_are_scikit_learns(n, width):
    train = data(n, width=width)
    heads = [RidgeHead(penalty) for penalty in (1e-4, 0.1, 10.0)]
    found = fit_ridge_heads(heads, train)
    x, y = train.features.numpy(), train.targets.numpy()
    unit = ((x - x.mean(axis=0)) ** 2).sum() / width
    for h, head in enumerate(heads):
        reference = Ridge(alpha=head.penalty * unit).fit(x, y)
        np.testing.assert_allclose(found.weight[h].numpy(), reference.coef_, atol=1e-8)
        np.testing.assert_allclose(found.bias[h].numpy(), reference.intercept_, atol=1e-8)


def test_a_ridge_of_wide_inputs_survives_columns_without_variance():
    x = np.concatenate([np.random.default_rng(0).normal(size=(400, 200)), np.ones((400, 100))], axis=1)
    weights, offsets = ridge(x, x[:, :2] + 1, (1e-4,))
    np.testing.assert_allclose(x @ weights[0] + offsets[0], x[:, :2] + 1, atol=1e-2)
    assert not weights[0, 200:].any() or abs(weights[0, 200:]).max() < 1e-9


def test_a_closed_form_has_a_seed_only_where_its_samples_are_resampled():
    assert [head.settings() for head in heads_of(probe(loss=("ridge",)))] == [
        {"penalty": 0.1, "loss": "ridge"},
        {"penalty": 1.0, "loss": "ridge"},
    ]
    resampled = heads_of(probe(loss=("ridge",), resample=True))
    assert [(head.penalty, head.seed) for head in resampled] == [(0.1, 0), (0.1, 1), (1.0, 0), (1.0, 1)]
    found = fit_ridge_heads(resampled, data(60))
    assert (found.weight[0] - found.weight[1]).abs().max() > 1e-3
    torch.testing.assert_close(fit_ridge_heads(resampled[1:2], data(60)).weight[0], found.weight[1])
    broken = data(60)
    broken.features[3, 3] = float("nan")
    assert (fit_ridge_heads(resampled, broken).chosen_epoch == -1).all()


def test_losses_are_of_the_task_and_grids_that_name_none_have_its_own():
    for loss, task, says in (
        ("mse", "emo8", "is for values; task 'emo8' has classes"),
        ("ridge", "emo8", "is for values"),
        ("cross_entropy", "va", "is for classes; task 'va' has values"),
    ):
        with pytest.raises(SpecError, match=says):
            heads_of(probe(task=task, loss=(loss,)))
    for loss, near in (("mse+msa", "'mse"), ("mse+mse", "'mse"), ("ridges", "'ridge'")):
        with pytest.raises(UnknownNameError, match=near):
            heads_of(probe(loss=(loss,)))
    with pytest.raises(SpecError, match="a penalty is positive"):
        heads_of(probe(penalty=(0.0,)))
    named = {"dataset": "synthscenes", "streams": ["features:x"]}
    assert build_probe(with_dataset_defaults({**named, "task": "valence"})).loss == ("ridge", "mse", "ccc")
    assert build_probe(with_dataset_defaults(named)).identity().keys() == {"streams", "dataset_options"}


def test_a_grid_of_values_is_recorded_verified_ranked_resumed_and_reported(store, tmp_path):
    records = run_grid(probe(), store)
    assert [(r.spec["loss"], r.spec.get("lr"), r.spec.get("penalty"), r.seed) for r in records] == [
        ("mse", 0.01, None, 0),
        ("mse", 0.01, None, 1),
        ("ccc", 0.01, None, 0),
        ("ccc", 0.01, None, 1),
        ("ridge", None, 0.1, 0),
        ("ridge", None, 1.0, 0),
    ]
    assert verify(store).ok
    assert verify(store).n_verified == 6
    stored = store.predictions(records[4])
    protocol = probe().judge
    assert records[4].metrics == score(protocol, stored)
    assert stored.outputs.dtype == np.float32
    assert (stored.outputs[:, 1] + 3).std() > 0
    assert {record.protocol for record in records} == {"synthscenes-va"}
    assert 1 <= len({record.row for record in records if record.ranked}) <= 2
    assert [(line.knob, line.value, line.n) for line in table(records, "ccc")] == [
        ("lr", 0.01, 2),
        ("lr", 0.01, 2),
        ("penalty", 0.1, 1),
        ("penalty", 1.0, 1),
    ]
    assert "epochs" not in records[4].training.keys() | records[4].spec.keys()
    assert records[0].training["epochs"] == 3
    on_train = records[4].training["on_train"]
    assert (on_train["n"], len(on_train["sums"])) == (50, 2)
    assert on_train["ccc"] > records[4].metrics["ccc"]
    assert "linear probe" in render(store)[store.root / "synthscenes-va.md"]
    assert run_grid(probe(), store) == records
    chosen = next(record for record in records if record.ranked)
    report(store, chosen.run_id, tmp_path / "report")
    assert (tmp_path / "report" / "circumplex.png").is_file()


def test_a_fusion_of_values_has_heads_of_its_own_task_within(store):
    streams = ("features:resnet18", "task:resnet18", "emo8:resnet18", "predictions:resnet18-places365")
    records = run_grid(probe(streams=streams, loss=("ridge",), task="valence"), store)
    assert records[0].spec["width"] == 12 + 1 + 8 + 7
    assert any("valence_penalty" in note for note in records[0].notes)
    assert verify(store).ok


def test_every_fold_has_heads_of_its_own_and_a_record_is_over_all_folds(store, small_synth, monkeypatch):
    computed = []
    extract = streams_module.extract
    monkeypatch.setattr(streams_module, "extract", lambda *given: computed.append(extract(*given)) or computed[-1])
    folded = {**small_synth, "folds": 3, "fold_by": "identity"}
    settings = probe(dataset="synthfaces", dataset_options=folded, streams=("features:vgg11", "task:vgg11"))
    records = run_grid(settings, store)
    n = sum(small_synth[f"n_{split}"] for split in ("train", "validation", "test"))
    assert [len(found.values) for found in computed] == [n, n]
    assert settings.protocol == records[0].protocol == "synthfaces-va-identities"
    assert {record.n_scored for record in records} == {n}
    assert verify(store).ok
    assert records[0].metrics["folds"]["n"] == 3
    whole = records[0].training["on_train"]["n"] + store.predictions(records[0], "validation").ids.size
    assert whole == 2 * n, "every sample is trained or validated on in two of three folds"
    assert {"fold 0", "fold 1", "fold 2"} <= records[0].inputs.keys()
    test = store.predictions(records[-1])
    one = data_spec(settings, fold=1)
    module = build_datamodule(one)
    module.setup()
    at = np.searchsorted(test.ids, module.read_samples.ids[module.read_samples.where("test")])
    alone = run_grid(probe(dataset="synthfaces", dataset_options=one.dataset_options, streams=settings.streams), store)
    np.testing.assert_allclose(store.predictions(alone[-1]).outputs, test.outputs[at], atol=1e-5)
    assert run_grid(settings, store) == records
    with pytest.raises(WeightsError, match="has one head for each of them"):
        load_any(store, records[0].run_id)
    leaky = settings.model_copy(update={"dataset_options": {**folded, "fold_by": "frame"}})
    assert leaky.protocol == "synthfaces-va-frames" or leaky.judge.caveats


def test_a_probe_and_an_ensemble_of_heads_predict_what_is_stored(store, tmp_path, monkeypatch):
    streams = ("features:resnet18", "task:resnet18")
    records = run_grid(probe(streams=streams), store)
    named = [records[0].run_id, records[2].run_id, records[4].run_id]
    made = build_ensemble(store, probe().judge, named, selection="stack")
    heads = build_ensemble(store, probe().judge, pool=Pool(kind="probe", seeds=(0,)), selection="greedy")
    assert heads.spec["n_candidates"] == sum(record.seed == 0 and not record.caveats for record in records)
    assert recompute_from_members(store, made) == []
    assert verify(store).ok
    module = build_datamodule(data_spec(probe()), batch_size=8)
    batches = list(module.predict_loader("test"))
    for record in (records[0], records[4], made):
        task = load_any(store, record.run_id).task
        outputs = torch.cat([task.predict_step(batch) for batch in batches]).numpy()
        np.testing.assert_allclose(outputs, store.predictions(record).outputs, atol=1e-5)
    image = module.read_samples.images[0]
    cv2.imwrite(str(tmp_path / "a.png"), image[..., ::-1])
    (row,) = predict_files(store, made.run_id, [tmp_path / "a.png"], "cpu")
    assert row.names == ("valence", "arousal")
    assert row.kind == "values"
    classes = run_grid(probe(task="emo8", loss=("cross_entropy",)), store)
    (row,) = predict_files(store, classes[0].run_id, [tmp_path / "a.png"], "cpu")
    assert row.outputs.sum() == pytest.approx(1)
    other = {**records[0].training, "weights_sha256": "f" * 64}
    monkeypatch.setattr(Store, "get", lambda *_: records[0].model_copy(update={"training": other}))
    with pytest.raises(WeightsError, match="does not hold the head"):
        load_any(store, "x")
    monkeypatch.setenv("FER_BENCH_RUNS", str(tmp_path / "elsewhere"))
    with pytest.raises(WeightsError, match="is not at"):
        load_any(store, "x")


def test_faces_seen_by_a_network_of_values_say_whether_there_are_any(store, monkeypatch):
    monkeypatch.setattr(
        streams_module, "build_backbone", lambda *given, **named: replace(build(*given, **named), of_values=True)
    )
    records = run_grid(probe(streams=("faces:run:abc",), loss=("ridge",)), store)
    assert records[0].spec["width"] == 2 * 7 + 1


def test_faces_are_refused_where_nobody_finds_them(store):
    records = run_grid(probe(streams=("features:resnet18", "faces:run:abc"), loss=("ridge",)), store)
    with pytest.raises(WeightsError, match="is of the faces in an image"):
        load_any(store, records[0].run_id)
