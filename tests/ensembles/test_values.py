"""Ensembles of values: the same choice, record and verification as of classes."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from typer.testing import CliRunner

from fer_bench.cli.main import app
from fer_bench.ensembles.build import build_ensemble
from fer_bench.ensembles.choice import choose, join, weights_of
from fer_bench.ensembles.members import find_members, load_validation
from fer_bench.ensembles.recompute import recompute_from_members
from fer_bench.ensembles.ridge import PENALTIES, RidgeStacker, features, fit_ridge_stacker
from fer_bench.ensembles.selection import ValidationSet, greedy, metric_of
from fer_bench.ensembles.strategies import VALUE_WAYS, Way, held_out_score
from fer_bench.ensembles.validation_folds import FOLDS, validation_folds
from fer_bench.ensembles.votes import combine
from fer_bench.errors import FerBenchError, RecordError, SpecError
from fer_bench.leaderboard.render import render_all
from fer_bench.leaderboard.verify import verify
from fer_bench.predictions import Predictions
from fer_bench.results.store import Store
from fer_bench.scoring.regression import answer_missing, ccc, rmse
from fer_bench.scoring.ridge import ridge
from fer_bench.scoring.score import score
from tests.ensembles.stored_values import N_FOLDS, PROTOCOL, SIZES, fill, fill_folds, predictions, record
from tests.plain_bootstrap import mean_over_dimensions

OPTIONS = [
    {},
    {"rule": "weighted_mean", "top_k": 3},
    {"rule": "mean", "top_k": "best"},
    {"rule": "weighted_mean", "top_k": "best", "order": "test"},
    {"selection": "greedy"},
    {"selection": "greedy", "bags": 3},
    {"selection": "stack"},
]


@pytest.fixture
def store(tmp_path):
    made = Store(tmp_path)
    fill(made)
    return made


def library(seed=0, n_members=4, n=80, groups=None):
    generator = np.random.default_rng(seed)
    targets = generator.normal(size=(n, 2))
    noise = generator.normal(size=(n_members, n, 2)) * generator.uniform(0.3, 1.5, size=(n_members, 1, 1))
    return ValidationSet(tuple("abcdefgh"[:n_members]), targets, 0.6 * targets + noise, 0.0, groups)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_an_ensemble_of_values_is_verified_recomputed_and_ranked_like_any_record(store, options):
    made = build_ensemble(store, PROTOCOL, **options)
    assert verify(store).differences == ()
    assert recompute_from_members(store, made) == []
    assert made.metrics == score(PROTOCOL, store.predictions(made))
    assert made.metrics["n_groups"] == SIZES["test"] // 10
    assert made.outcomes == ""
    assert ("selected on test" in made.caveats) == (options.get("order") == "test")
    assert (store.folder(made) / f"{made.run_id}.curve.png").read_bytes().startswith(b"\x89PNG")
    assert made.metrics["ccc"] > store.get("r0-s0").metrics["ccc"]
    render_all(store)
    assert f"ensemble ({made.recipe})" in (store.root / "toy-va.md").read_text()
    assert build_ensemble(store, PROTOCOL, **options).run_id == made.run_id


def test_a_mean_and_a_weighted_mean_against_their_definition(store):
    tests = [store.predictions(store.get(f"r{i}-s{i}")).outputs.astype(np.float64) for i in range(4)]
    plain = build_ensemble(store, PROTOCOL)
    np.testing.assert_allclose(store.predictions(plain).outputs, np.mean(tests, axis=0), atol=1e-5)
    made = build_ensemble(store, PROTOCOL, rule="weighted_mean")
    by_name = {entry["run_id"]: entry for entry in made.training["members"]}
    weights = [store.get(f"r{i}-s{i}").validation_metrics["ccc"] for i in range(4)]
    assert [by_name[f"r{i}-s{i}"]["weight"] for i in range(4)] == pytest.approx(weights, abs=1e-9)
    assert [by_name[f"r{i}-s{i}"]["validation_ccc"] for i in range(4)] == pytest.approx(weights, abs=1e-9)
    np.testing.assert_allclose(store.predictions(made).outputs, np.average(tests, axis=0, weights=weights), atol=1e-5)


@pytest.mark.parametrize("metric", ["ccc", "rmse"])
def test_members_are_scored_as_records_are(metric):
    validation = library()
    outputs = validation.outputs.copy()
    outputs[1, :9] = np.nan
    reference = {"ccc": ccc, "rmse": rmse}[metric]
    expected = [
        mean_over_dimensions(reference, validation.targets, answer_missing(each, (-1.0, 3.0))) for each in outputs
    ]
    np.testing.assert_allclose(metric_of(outputs, validation.targets, metric, 1.0), expected, atol=1e-12)
    assert np.isnan(metric_of(np.ones((1, 80, 2)), np.ones((80, 2)), "ccc")).all()


def test_greedy_is_never_worse_than_its_best_member_whichever_way_is_better():
    for seed in range(4):
        validation = library(seed)
        for metric, sign in (("ccc", 1), ("rmse", -1)):
            weights = greedy(validation, metric)
            joint = np.average(validation.outputs, axis=0, weights=weights)
            own = sign * metric_of(validation.outputs, validation.targets, metric)
            assert sign * metric_of(joint[None], validation.targets, metric)[0] >= own.max() - 1e-12


def test_members_that_do_not_answer_abstain():
    a, b = np.full((3, 2), 2.0), np.full((3, 2), 4.0)
    a[0], b[0], b[1, 1] = np.nan, np.nan, np.nan
    np.testing.assert_array_equal(combine("mean", [a, b]), [[np.nan] * 2, [2, 2], [3, 3]])
    np.testing.assert_array_equal(combine("weighted_mean", [a, b], [3, 1]), [[np.nan] * 2, [2, 2], [2.5, 2.5]])
    with pytest.raises(RecordError, match="member 1: row 2 of its outputs is infinite"):
        combine("mean", [a, np.where(np.arange(3)[:, None] == 2, np.inf, b)])
    with pytest.raises(SpecError, match="needs a weight for each"):
        combine("weighted_mean", [a, b])


def test_a_member_against_the_truth_counts_nothing():
    validation = library(n_members=2)
    wrong = ValidationSet(("a", "b"), validation.targets, np.stack([validation.outputs[0], -validation.targets]))
    assert weights_of(wrong)[1] == 0
    both = ValidationSet(("a", "b"), validation.targets, np.stack([-validation.targets, -validation.targets]))
    assert weights_of(both) == [1.0, 1.0]


def test_the_ridge_is_scikit_learns_for_every_penalty_at_once():
    validation = library(3)
    x, y = features(validation.outputs), validation.targets
    unit = ((x - x.mean(axis=0)) ** 2).sum() / x.shape[1]
    coefficients, intercepts = ridge(x, y, PENALTIES)
    for i, penalty in enumerate(PENALTIES):
        reference = Ridge(alpha=penalty * unit).fit(x, y)
        np.testing.assert_allclose(coefficients[i].T, reference.coef_, atol=1e-9)
        np.testing.assert_allclose(intercepts[i], reference.intercept_, atol=1e-9)


def test_a_stacker_learns_what_a_mean_cannot_and_answers_where_any_member_does():
    validation = library(1, n=200)
    twisted = validation.outputs.copy()
    twisted[0] = 5 - 3 * validation.targets[:, ::-1]
    stacker = fit_ridge_stacker(ValidationSet(validation.names, validation.targets, twisted))
    assert metric_of(stacker.apply(twisted)[None], validation.targets)[0] > 0.99
    np.testing.assert_array_equal(RidgeStacker.from_json(stacker.to_json()).apply(twisted), stacker.apply(twisted))
    twisted[0, 3], twisted[:, 7] = np.nan, np.nan
    assert np.isnan(stacker.apply(twisted)).all(axis=1).nonzero()[0].tolist() == [7]
    with pytest.raises(RecordError, match="cannot be read"):
        RidgeStacker.from_json({"coefficients": [[0.0]]})
    with pytest.raises(SpecError, match="cannot be learned from 6"):
        fit_ridge_stacker(validation.rows(np.arange(200) < 6))


def test_clips_are_held_out_as_a_whole():
    groups = np.repeat([f"c{i:02d}" for i in range(16)], 5)
    folds = validation_folds(library(groups=groups), 0)
    assert set(folds) == set(range(FOLDS))
    assert all(len(set(folds[groups == name])) == 1 for name in groups)
    with pytest.raises(SpecError, match=r"4 groups .clips or people., and 5 folds need 5"):
        validation_folds(library(groups=np.repeat(list("abcd"), 20)), 0)


def test_held_out_scores_do_not_flatter_a_selection_from_noise():
    generator = np.random.default_rng(0)
    noise = ValidationSet(
        tuple(f"m{i:02d}" for i in range(40)), generator.normal(size=(60, 2)), generator.normal(size=(40, 60, 2))
    )
    choice = choose(noise, "ccc", None, "mean", None, "greedy")
    fitted = noise.scores("ccc", join(choice, "mean", noise.outputs[choice.members])[None])[0]
    assert fitted > 0.2
    assert abs(held_out_score(noise, "ccc", Way("mean", selection="greedy"), repeats=3)) < 0.1


def test_cross_validations_are_chosen_and_joined_fold_by_fold(tmp_path):
    store = Store(tmp_path)
    fill_folds(store)
    for options in (OPTIONS[1], OPTIONS[3], OPTIONS[5], OPTIONS[6]):
        made = build_ensemble(store, PROTOCOL, **options)
        assert recompute_from_members(store, made) == []
        assert made.n_scored == N_FOLDS * SIZES["test"]
        assert made.metrics["folds"]["n"] == N_FOLDS
        assert made.validation_metrics == {}
        assert 0 < made.training["validation"]["ccc"] < 1
    assert verify(store).differences == ()
    made = build_ensemble(store, PROTOCOL, top_k=2)
    expected, chosen = [], []
    for fold in range(N_FOLDS):
        runs = [store.get(f"f{seed}{fold}-s0") for seed in range(3)]
        best = sorted(runs, key=lambda run: -run.validation_metrics["ccc"])[:2]
        chosen.append([run.run_id for run in best])
        expected.append(np.mean([store.predictions(run).outputs for run in best], axis=0))
    assert [[entry["run_id"] for entry in fold["members"]] for fold in made.training["folds"]] == chosen
    np.testing.assert_allclose(store.predictions(made).outputs, np.concatenate(expected), atol=1e-5)
    for entry in made.training["members"]:
        folds = [store.get(name) for name in store.get(entry["run_id"]).data["folds"]]
        mean = np.mean([fold.validation_metrics["ccc"] for fold in folds])
        assert entry["validation_ccc"] == pytest.approx(mean, abs=1e-9)
        assert entry["weight"] == sum(fold.run_id in ids for fold, ids in zip(folds, chosen, strict=True)) / N_FOLDS
    render_all(store)
    assert f"ensemble ({made.recipe})" in (store.root / "toy-va.md").read_text()
    # A fold that was tampered with, or a mean that does not follow, is found.
    wrong = made.training | {"validation": {"ccc": 0.9}}
    found = recompute_from_members(store, made.model_copy(update={"training": wrong}))
    assert found == [f"training.validation.ccc: the folds give {made.training['validation']['ccc']}"]
    store.path(PROTOCOL.name, "net0", "f01-s0").unlink()
    with pytest.raises(RecordError, match="net0/all0-s0: its fold f01-s0 is not in the store"):
        build_ensemble(store, PROTOCOL)


def test_what_does_not_belong_together_is_refused(store):
    for options, message in (
        ({"rule": "soft"}, "unknown rule 'soft'.*Known for values: mean, weighted_mean"),
        ({"selection": "mixture"}, "likelihood of classes"),
        ({"selection": "greedy", "rule": "weighted_mean"}, "works on values, not with the rule"),
    ):
        with pytest.raises(FerBenchError, match=message):
            build_ensemble(store, PROTOCOL, **options)
    splits = {split: predictions(9, split) for split in SIZES}
    test = splits["test"]
    splits["test"] = Predictions(test.ids, test.targets + 0.5, test.outputs, {}, test.groups)
    store.put(record("r9-s9", splits), splits)
    with pytest.raises(RecordError, match="target of test sample 't0-0000' is another one"):
        build_ensemble(store, PROTOCOL)


def test_only_validation_chooses(tmp_path):
    chosen = []
    for shift in (0, 50):
        store = Store(tmp_path / str(shift))
        for seed in range(4):
            splits = {
                "validation": predictions(seed, "validation", 0.6 - 0.1 * seed),
                "test": predictions(seed + shift, "test", 0.2 + (shift > 0) * 0.1 * seed),
            }
            store.put(record(f"r{seed}-s{seed}", splits, model=f"net{seed}"), splits)
        made = build_ensemble(store, PROTOCOL, selection="stack", top_k="best")
        chosen.append((made.training["stacker"], made.validation_metrics))
    assert chosen[0] == chosen[1]


def test_the_command_line(tmp_path):
    store = Store()
    fill(store)
    result = CliRunner().invoke(app, ["ensemble", "--protocol", "toy-va", "--rule", "weighted_mean"])
    assert result.exit_code == 0, result.output
    made = next(found for found in store.records() if found.kind == "ensemble")
    assert "toy-va ensemble (mean weighted by CCC, all 4): " in result.output
    assert "gain " in result.output
    compared = CliRunner().invoke(app, ["ensemble", "--protocol", "toy-va", "--compare"])
    assert [line.split("  ")[2] for line in compared.output.splitlines()[1:]] == [way.flags for way in VALUE_WAYS]
    reported = CliRunner().invoke(app, ["report", made.run_id, "--out", str(tmp_path / "out")])
    assert reported.exit_code == 0, reported.output
    assert (tmp_path / "out" / "members.png").is_file()
    assert "CCC on validation" in (tmp_path / "out" / "report.html").read_text()
    members = find_members(store, PROTOCOL)
    assert load_validation(store, PROTOCOL, members).middle == 0.0
