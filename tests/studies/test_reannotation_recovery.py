"""The analysis end to end: on simulated raters it finds what was planted; on FER+ it finds what is known."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fer_bench.errors import FerBenchError
from fer_bench.labels import FER8
from fer_bench.studies.consensus import read_labels
from fer_bench.studies.reannotation import study_reannotation
from fer_bench.studies.reannotation.analysis import analyse
from fer_bench.studies.reannotation.answers import read_answers
from fer_bench.studies.reannotation.recovery import recovered
from fer_bench.studies.reannotation.run import write_results
from fer_bench.studies.reannotation.shift import vote_estimates
from fer_bench.studies.reannotation.simulate import K, make_crowd, networks, planted, simulate, write_answers
from fer_bench.studies.reannotation.study import Reannotation, count_votes


@pytest.mark.draws
def test_planted_values_are_recovered_and_written(tmp_path: Path) -> None:
    pytest.importorskip("crowdkit")
    pytest.importorskip("cleanlab")
    simulation = simulate()
    answers = tmp_path / "answers.csv"
    write_answers(answers, simulation)
    analysis = analyse(read_answers(answers), networks(simulation), n_resamples=60)
    found = recovered(analysis, planted(simulation.crowd, n_drawn=10_000))
    single = {name: estimate.covers(value) for name, (value, estimate) in found.items() if not value.ndim}
    assert len(single) == 15
    # Fifteen 95 % intervals: one may miss, and none may miss by much.
    assert sum(map(bool, single.values())) >= 14
    several = [estimate.covers(value) for value, estimate in found.values() if value.ndim]
    assert np.concatenate([c.ravel() for c in several]).mean() > 0.85
    for value, estimate in found.values():
        np.testing.assert_allclose(estimate.value, value, atol=0.06)
    # Raters are told apart: the planted order of care and of offsets is found again.
    accuracy = np.einsum("k,rkk->r", simulation.crowd.prior(), simulation.crowd.confusions)
    assert analysis.consensus is not None
    assert analysis.consensus.method == "dawid-skene"
    estimated = analysis.consensus.accuracies()
    assert estimated is not None
    assert np.corrcoef(accuracy, estimated)[0, 1] > 0.95
    assert np.corrcoef(simulation.crowd.offsets["arousal"], analysis.affect["arousal"]["offset"].value)[0, 1] > 0.98
    right = (analysis.consensus.labels == simulation.truth).mean()
    assert right > 0.97
    assert right >= (analysis.max_vote == simulation.truth).mean()
    # The network that learned the labels agrees with labels, the other with people.
    by_labels, weakly = (
        analysis.network_expressions["trained on labels"],
        analysis.network_expressions["weakly trained"],
    )
    assert by_labels["original"].low > weakly["original"].high
    assert weakly["max_vote"].low > by_labels["max_vote"].high

    out = tmp_path / "out"
    out.mkdir()
    write_results(analysis, out, ["## An extra section"])
    page = (out / "README.md").read_text()
    linked = re.findall(r"!\[[^]]+\]\(([^)]+)\)", page)
    assert len(linked) == 10
    assert {p.name for p in out.glob("*.png")} == set(linked)
    for name in linked:
        with Image.open(out / name) as image:
            assert image.mode == "P"
        assert (out / name).stat().st_size < 60_000
    assert "## An extra section" in page
    assert "nan" not in page.lower().replace("dominant", "")
    labels = read_labels(out / "consensus.csv", FER8)
    assert [labels[i] for i in simulation.ids] == analysis.consensus.labels.tolist()
    stored = json.loads((out / "results.json").read_text())
    assert stored["votes"]["kept_votes"]["value"] == pytest.approx(float(analysis.votes["kept_votes"].value), abs=1e-6)
    assert stored["networks"]["weakly trained"]["pattern_original"]["value"] is None


def test_intervals_cover_over_many_simulations() -> None:
    crowd = make_crowd()
    truth = planted(crowd, n_drawn=100)
    covered = []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        original = rng.integers(0, K, 300)
        category = np.array([rng.choice(K, p=crowd.mix[o]) for o in original])
        expression = np.stack(
            [(rng.random((300, 1)) > np.cumsum(c[category], axis=1)).sum(axis=1) for c in crowd.confusions]
        )
        study = Reannotation("t", tuple(map(str, range(300))), FER8, FER8.names, original, count_votes(expression, K))
        votes = vote_estimates(study, n_resamples=200, seed=seed)
        covered.append(
            [
                *(votes[n].covers(truth[n]) for n in ("alpha", "kept_votes")),
                *votes["vote_share"].covers(truth["vote_share"]),
            ]
        )
    rate = np.mean(covered)
    assert 0.88 < rate < 0.99


def test_planted_agreement_is_that_of_endless_images() -> None:
    """The closed forms against a large sample of the generator itself."""
    big = simulate(n_raters=4, n_images=24_000, seed=3, n_repeats=10, skip_rate=0)
    truth = planted(big.crowd, n_drawn=100)
    ratings = (big.ratings["arousal"] - 5) / 4
    pairs = np.triu_indices(4, 1)
    assert np.corrcoef(ratings)[pairs].mean() == pytest.approx(float(truth["arousal_correlation"]), abs=0.01)
    means = ratings.mean(axis=1)
    np.testing.assert_allclose(means - (means.sum() - means) / 3, truth["arousal_offset"], atol=0.01)
    equal = np.mean([(big.expression[a] == big.expression[b]).mean() for a, b in zip(*pairs, strict=True)])
    assert (K * equal - 1) / (K - 1) == pytest.approx(float(truth["correlation"]), abs=0.01)
    assert (big.expression == big.original).mean() == pytest.approx(float(truth["kept_votes"]), abs=0.01)


def test_answers_without_expressions_or_labels_still_give_a_page(tmp_path: Path) -> None:
    rows = ["rater,image,valence,arousal"]
    rng = np.random.default_rng(0)
    rows += [f"r{r},i{i},{rng.integers(1, 10)},{rng.integers(1, 10)}" for r in range(3) for i in range(12)]
    (tmp_path / "a.csv").write_text("\n".join(rows) + "\n")
    page = study_reannotation(tmp_path / "a.csv", tmp_path / "out", n_resamples=10)
    text = page.read_text()
    assert "## Valence and arousal" in text
    assert "## Votes against labels" not in text
    assert not (tmp_path / "out/consensus.csv").exists()


def test_an_error_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("rater,image,expression\na,x,happy\nb,x,sad\n")
    with pytest.raises(FerBenchError, match="none of its 1 ids"):
        study_reannotation(
            tmp_path / "a.csv",
            tmp_path / "out",
            {
                "n": (
                    np.array(["q"]),
                    np.ones((1, 7)) / 7,
                    ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"),
                )
            },
        )
    assert not (tmp_path / "out").exists()


def test_real_ferplus(tmp_path: Path) -> None:
    folder = os.environ.get("FER_BENCH_TEST_FER2013")
    if not folder:
        pytest.skip("FER_BENCH_TEST_FER2013 does not name a folder with fer2013.csv and fer2013new.csv")
    pytest.importorskip("cleanlab")
    page = study_reannotation(Path(folder), tmp_path, n_resamples=50)
    stored = json.loads((tmp_path / "results.json").read_text())["votes"]
    assert stored["kept_votes"]["value"] == pytest.approx(0.5549, abs=1e-3)
    assert stored["ceiling"]["value"] == pytest.approx(0.7020, abs=1e-3)
    assert stored["kept_max_drop"]["value"] > stored["kept_max_split"]["value"]
    assert len(read_labels(tmp_path / "consensus.csv", FER8)) > 35_000
    assert "Dawid-Skene are not possible" in page.read_text()
