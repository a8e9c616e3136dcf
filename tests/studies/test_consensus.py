"""Consensus labels and the file that carries them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fer_bench.errors import BadDataError, MissingDataError
from fer_bench.labels import FER7, FER8
from fer_bench.studies.consensus import Consensus, dawid_skene, read_labels, vote_posterior, write_consensus


def test_file_round_trip_leaves_out_what_is_no_class(tmp_path: Path) -> None:
    posterior = np.zeros((4, 10))
    posterior[0, 3], posterior[0, 0] = 0.75, 0.25
    posterior[1, 8] = 1.0
    posterior[3, 7] = 0.9
    path = tmp_path / "new" / "consensus.csv"
    written = write_consensus(path, ["a", "b", "c", 'd,"x"'], Consensus("vote-posterior", posterior), FER8)
    assert written == 2
    assert path.read_text() == 'id,label,confidence\na,sadness,0.7500\n"d,""x""",contempt,0.9000\n'
    assert read_labels(path, FER8) == {"a": 3, 'd,"x"': 7}
    assert [p.name for p in path.parent.iterdir()] == ["consensus.csv"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,label\na,happy\n", r"line 1: the header is 'id,label', not id,label,confidence"),
        ("id,label,confidence\na,happy,1\nb,happy\n", r"line 3: 2 value\(s\) instead of 3"),
        ("id,label,confidence\na,happy,1\n\n", r"line 3: 0 value\(s\)"),
        ("id,label,confidence\na,happy,1\na,sad,1\n", r"line 3: id 'a' is listed twice"),
        ("id,label,confidence\na,grumpy,1\n", r"line 2: label 'grumpy' is not one of fer7"),
        ("id,label,confidence\na,happy,1.5\n", r"line 2: confidence '1.5'"),
        ("id,label,confidence\na,happy,nan\n", r"line 2: confidence 'nan'"),
        ("id,label,confidence\n,happy,1\n", r"line 2: the id is empty"),
        ('id,label,confidence\na,"hap"py,1\n', r"line 2: not readable as CSV"),
        ("id,label,confidence\n", r"no labels in it"),
        ("", r"no labels in it"),
    ],
)
def test_wrong_lines_are_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "consensus.csv"
    path.write_text(text)
    with pytest.raises(BadDataError, match=message):
        read_labels(path, FER7)


def test_missing_file_says_where_it_comes_from(tmp_path: Path) -> None:
    with pytest.raises(MissingDataError, match="study reannotation"):
        read_labels(tmp_path / "no.csv", FER7)


def test_vote_posterior_follows_the_majority_and_breaks_ties_by_frequency() -> None:
    counts = np.array([[5, 4, 0], [0, 9, 0], [4, 4, 0], [0, 0, 0]])
    consensus = vote_posterior(counts)
    # 17 of 26 votes are for category 1: it wins the tie.
    assert consensus.labels.tolist() == [0, 1, 1, -1]
    np.testing.assert_allclose(consensus.posterior[2], [(4 + 9 / 26) / 9, (4 + 17 / 26) / 9, 0])
    np.testing.assert_allclose(consensus.confidence[:3], [(5 + 9 / 26) / 10, (9 + 17 / 26) / 10, (4 + 17 / 26) / 9])


def test_dawid_skene_learns_whom_to_believe() -> None:
    pytest.importorskip("crowdkit")
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, 300)
    careful = [np.where(rng.random(300) < 0.95, truth, rng.integers(0, 3, 300)) for _ in range(2)]
    # Three raters who say 0 most of the time outvote two careful ones.
    careless = [np.where(rng.random(300) < 0.25, truth, 0) for _ in range(3)]
    answers = np.stack([*careful, *careless])
    answers[0, :10] = -1
    consensus = dawid_skene(answers, 5)
    majority = np.array([np.bincount(column[column >= 0], minlength=3).argmax() for column in answers.T])
    assert (consensus.labels == truth).mean() > 0.93
    assert (majority == truth).mean() < 0.8
    accuracies = consensus.accuracies()
    assert accuracies is not None
    real = [(a[a >= 0] == truth[a >= 0]).mean() for a in answers]
    np.testing.assert_allclose(accuracies, real, atol=0.08)
    np.testing.assert_allclose(consensus.posterior.sum(axis=1), 1)
    assert (consensus.posterior[:, 3:] == 0).all()
