"""Scores of values: against the single functions, the slow bootstrap, and torchmetrics-free arithmetic."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from fer_bench.errors import RecordError, SpecError
from fer_bench.predictions import Predictions
from fer_bench.protocols import PROTOCOLS, TASKS, Protocol, protocol_for, protocol_named
from fer_bench.scoring import moments, regression
from fer_bench.scoring.score import score
from tests.plain_bootstrap import bootstrap, mean_over_dimensions

PROTOCOL = Protocol("toy", TASKS["va"], scale=(-10.0, 10.0))
FUNCTIONS = {
    "ccc": regression.ccc,
    "pcc": regression.pcc,
    "icc31": regression.icc31,
    "rmse": regression.rmse,
    "mae": regression.mae,
}


def made(n=240, clips=24, noise=3.0, seed=0, **fields):
    generator = np.random.default_rng(seed)
    clip = np.repeat(np.arange(clips), n // clips)
    targets = np.clip(generator.normal(0, 3, (clips, 2))[clip] + generator.normal(0, 1, (n, 2)), -10, 10).astype(
        np.float32
    )
    outputs = (0.6 * targets + noise * generator.normal(0, 1, (clips, 2))[clip] + 1).astype(np.float32)
    ids = np.array([f"{i:05d}" for i in range(n)])
    return Predictions(ids, targets, outputs, groups=np.array([f"c{c:02d}" for c in clip]), **fields)


@pytest.mark.parametrize("name", moments.of_sums())
def test_statistics_from_sums_are_those_of_the_samples(name):
    p = made()
    total = moments.sums(p.targets, p.outputs, p.groups).sum(axis=0)
    for d in range(2):
        assert moments.statistics(total)[name][d] == pytest.approx(
            FUNCTIONS[name](p.targets[:, d], p.outputs[:, d]), abs=1e-10
        )


@pytest.mark.parametrize("grouped", [True, False])
@pytest.mark.parametrize("name", moments.of_sums())
def test_intervals_are_those_of_resampling_the_samples_themselves(name, grouped):
    p = made(n=120, clips=12)
    groups = p.groups if grouped else None
    fast = moments.bootstrap_values(p.targets, p.outputs, ("valence", "arousal"), groups, n_resamples=200)
    slow = bootstrap(FUNCTIONS[name], [p.targets[:, 1], p.outputs[:, 1]], n_resamples=200, groups=groups)
    assert fast[f"arousal/{name}"] == pytest.approx(slow, abs=1e-9)
    mean = bootstrap(
        partial(mean_over_dimensions, FUNCTIONS[name]),
        [p.targets, p.outputs],
        n_resamples=200,
        groups=groups,
    )
    assert fast[name] == pytest.approx(mean, abs=1e-9)


def test_clips_widen_the_interval():
    p = made()
    by_clip, by_frame = (
        moments.bootstrap_values(p.targets, p.outputs, ("valence", "arousal"), groups, n_resamples=400)["ccc"]
        for groups in (p.groups, None)
    )
    assert by_clip[1] - by_clip[0] > 1.5 * (by_frame[1] - by_frame[0])


def test_undefined_statistics_are_nan_not_zero():
    constant = np.full((10, 1), 2.0)
    drawn = moments.statistics(moments.sums(np.arange(10.0)[:, None], constant).sum(axis=0))
    assert drawn["ccc"][0] == 0
    assert np.isnan(drawn["pcc"][0])
    both = moments.statistics(moments.sums(constant, constant).sum(axis=0))
    assert np.isnan(both["ccc"][0])
    assert both["rmse"][0] == 0


def test_score_has_units_and_scaled_errors():
    p = made()
    metrics = score(PROTOCOL, p)
    assert (
        metrics["ccc"]
        == metrics["mean"]["ccc"]
        == pytest.approx((metrics["valence"]["ccc"] + metrics["arousal"]["ccc"]) / 2)
    )
    error = np.sqrt(np.mean((p.targets[:, 0].astype(float) - p.outputs[:, 0].astype(float)) ** 2))
    assert metrics["valence"]["rmse"] == pytest.approx(error)
    assert metrics["valence"]["rmse_scaled"] == pytest.approx(error / 10)
    low, high = metrics["intervals"]["ccc"]
    assert low < metrics["ccc"] < high
    assert metrics["n_groups"] == 24
    assert metrics["n"] == 240
    assert set(metrics) >= {"rmse", "rmse_scaled", "pcc", "mae", "icc31", "sagr", "n_unanswered", "reasons"}


def test_constant_answers_have_a_reason_and_no_nan():
    p = made()
    flat = Predictions(p.ids, p.targets, np.ones_like(p.outputs), groups=p.groups)
    metrics = score(PROTOCOL, flat)
    assert metrics["pcc"] is None
    assert metrics["reasons"]["pcc"]
    assert metrics["intervals"]["pcc"] is None
    assert metrics["ccc"] == pytest.approx(0)


def test_one_clip_gives_no_interval():
    p = made(n=20, clips=1)
    metrics = score(PROTOCOL, p)
    assert metrics["intervals"]["ccc"] is None
    assert metrics["reasons"]["intervals"] == "all samples are of one group"


def test_folds_are_averaged_beside_the_pooled_score():
    p = made()
    fold = np.arange(240) // 80
    flags = {f"fold_{k}": fold == k for k in range(3)}
    metrics = score(PROTOCOL, Predictions(p.ids, p.targets, p.outputs, flags, p.groups))
    each = [score(PROTOCOL, p.select(fold == k)) for k in range(3)]
    assert metrics["ccc"] == pytest.approx(score(PROTOCOL, p)["ccc"])
    assert metrics["folds"]["averaged"]["valence/pcc"] == pytest.approx(np.mean([e["valence"]["pcc"] for e in each]))
    assert metrics["folds"]["std"]["ccc"] == pytest.approx(np.std([e["ccc"] for e in each], ddof=1))
    assert metrics["folds"]["n"] == 3


def test_missing_faces_and_duplicates():
    p = made()
    outputs = p.outputs.copy()
    outputs[:12] = np.nan
    metrics = score(PROTOCOL, Predictions(p.ids, p.targets, outputs, {"duplicate": np.arange(240) < 12}, p.groups))
    assert metrics["n_unanswered"] == 12
    assert metrics["clean"]["n"] == 228
    assert metrics["clean"]["ccc"] == pytest.approx(score(PROTOCOL, p.select(np.arange(240) >= 12))["ccc"])


def test_wrong_width_is_an_error():
    p = made()
    with pytest.raises(RecordError, match="2 dimensions valence, arousal"):
        score(PROTOCOL, Predictions(p.ids, p.targets, p.outputs[:, :1]))


def test_one_dimension_is_a_task_of_its_own():
    p = made()
    one = score(
        Protocol("toy", TASKS["arousal"], scale=(-10, 10)),
        Predictions(p.ids, p.targets[:, 1:], p.outputs[:, 1:], groups=p.groups),
    )
    assert one["ccc"] == one["arousal"]["ccc"] == pytest.approx(score(PROTOCOL, p)["arousal"]["ccc"])


def test_protocols_of_other_folds_have_their_own_name_and_caveats():
    clean = protocol_for("afew_va", "va")
    assert clean is protocol_for("afew_va", "va", "identity") is PROTOCOLS["afew_va-va"]
    assert clean.scale == (-10, 10)
    assert not clean.caveats
    assert clean.higher_is_better
    leaky = protocol_for("afew_va", "va", "frame")
    assert leaky.name == "afew_va-va-frames"
    assert leaky.caveats[0].startswith("leaky")
    assert leaky.scale == clean.scale
    assert protocol_named("afew_va-va-frames", "afew_va", "va") == leaky
    # synthfaces comes with splits: folds by person are another protocol there.
    assert protocol_for("synthfaces", "va", "identity").name == "synthfaces-va-identities"
    with pytest.raises(SpecError, match="afew_va-va-clips"):
        protocol_named("afew_va-va-nonsense", "afew_va", "va")
