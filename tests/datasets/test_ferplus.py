from __future__ import annotations

import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_bench.data.samples import SPLITS
from fer_bench.datasets.ferplus.module import FERPlusDataModule, read_ferplus
from fer_bench.datasets.ferplus.votes import process_votes, read_votes
from fer_bench.errors import BadDataError, MissingDataError, SpecError
from fer_bench.protocols import PROTOCOLS
from tests.fakes import Faces, make_faces, make_votes, write_csv, write_folders, write_icml, write_votes

REAL = os.environ.get("FER_BENCH_TEST_FER2013")
needs_real = pytest.mark.skipif(not REAL, reason="FER_BENCH_TEST_FER2013 names no folder with the real files")
UNKNOWN, NOT_A_FACE = 8, 9


def official(votes, mode):
    """The published rules, written down once more: lists of categories instead of arrays.

    Returns the eight emotions' shares, or None for an image that is left out.
    """
    counts = {category: n for category, n in enumerate(votes) if n > 1}
    s = sum(counts.values())
    taken: dict[int, int] = {}
    if mode == "majority":
        taken = {category: n for category, n in counts.items() if 2 * n > s}
    elif mode == "multi_target":
        taken = {category: n for category, n in counts.items() if n >= 0.3 * s}
        if 2 * sum(taken.values()) <= s:
            return None
    else:
        stop = False
        for height in sorted(set(counts.values()), reverse=True):
            if stop or len(taken) >= 3 or sum(taken.values()) >= 0.75 * s:
                break
            for category in sorted(c for c, n in counts.items() if n == height):
                if category in (UNKNOWN, NOT_A_FACE):
                    stop = True
                    if not taken:
                        return None
                    break
                taken[category] = height
        if 2 * sum(taken.values()) <= s or len(taken) > 3:
            return None
    if not taken:
        return None
    top = max(taken.values())
    if min(category for category, n in taken.items() if n == top) >= UNKNOWN:
        return None
    emotions = np.array([float(taken.get(category, 0)) for category in range(8)])
    return emotions / emotions.sum()


ten_votes = st.lists(st.integers(0, 9), min_size=1, max_size=12).map(lambda taggers: np.bincount(taggers, minlength=10))


@settings(max_examples=200, deadline=None)
@given(votes=ten_votes, mode=st.sampled_from(["majority", "cross_entropy", "multi_target"]))
def test_processing_follows_the_published_rules(votes, mode):
    expected = official(votes.tolist(), mode)
    found = process_votes(votes.astype(np.int64), mode)
    if expected is None:
        assert (found == 0).all()
    else:
        np.testing.assert_allclose(found, expected, atol=1e-12)


@pytest.mark.parametrize(
    ("votes", "mode", "expected"),
    [
        ([0, 10, 0, 0, 0, 0, 0, 0, 0, 0], "majority", {1: 1}),
        # Single votes are noise: six of nine without it.
        ([6, 0, 3, 0, 0, 0, 0, 1, 0, 0], "majority", {0: 1}),
        # Half is no majority.
        ([5, 5, 0, 0, 0, 0, 0, 0, 0, 0], "majority", {}),
        ([0, 0, 0, 0, 0, 0, 0, 0, 6, 4], "majority", {}),
        ([1, 1, 1, 1, 1, 1, 1, 1, 1, 1], "majority", {}),
        ([5, 3, 2, 0, 0, 0, 0, 0, 0, 0], "cross_entropy", {0: 5 / 8, 1: 3 / 8}),
        # Ties are taken together; four of them are too many.
        ([0, 0, 2, 2, 2, 2, 0, 0, 0, 0], "cross_entropy", {}),
        # Unknown after emotions is dropped and ends the taking.
        ([6, 0, 0, 0, 0, 0, 0, 0, 4, 0], "cross_entropy", {0: 1}),
        ([3, 0, 0, 0, 0, 0, 0, 0, 5, 2], "cross_entropy", {}),
        ([5, 3, 2, 0, 0, 0, 0, 0, 0, 0], "multi_target", {0: 5 / 8, 1: 3 / 8}),
        ([3, 3, 2, 2, 0, 0, 0, 0, 0, 0], "multi_target", {0: 0.5, 1: 0.5}),
        ([2, 2, 2, 2, 2, 0, 0, 0, 0, 0], "multi_target", {}),
    ],
)
def test_processing_of_cases_worked_out_by_hand(votes, mode, expected):
    shares = process_votes(np.array(votes), mode)
    np.testing.assert_allclose(shares, [expected.get(i, 0.0) for i in range(8)])


@pytest.fixture
def faces():
    return make_faces()


@pytest.fixture
def votes(faces):
    drawn = make_votes(faces)
    # Rows 2 and 50: nobody agrees; left out.
    drawn[[2, 50]] = 1
    # Row 4: no majority, but two emotions.
    drawn[4] = [5, 5, 0, 0, 0, 0, 0, 0, 0, 0]
    return drawn


def write(folder, faces, votes, writer=write_csv):
    writer(folder / "fer2013", faces)
    write_votes(folder / "fer2013", faces, votes)
    return str(folder)


@pytest.mark.parametrize("writer", [write_csv, write_icml])
def test_votes_are_joined_by_row_whatever_the_names_say(tmp_path, faces, votes, writer):
    samples = read_ferplus(write(tmp_path, faces, votes, writer))
    assert len(samples) == len(faces)
    assert (samples.columns["votes"] == votes).all()
    for row in range(len(faces)):
        shares = official(votes[row].tolist(), "majority")
        assert samples.targets["fer8"][row] == (-1 if shares is None else shares.argmax())
    assert samples.targets["fer7"].tolist() == faces.labels.tolist()


@pytest.mark.parametrize("places", [("ferplus", "fer2013"), (".", "."), ("ferplus", "ferplus")])
@pytest.mark.parametrize("writer", [write_csv, write_icml])
def test_both_files_may_lie_together_or_apart(tmp_path, faces, votes, places, writer):
    write_votes(tmp_path / places[0], faces, votes)
    writer(tmp_path / places[1], faces)
    assert len(read_ferplus(str(tmp_path))) == len(faces)


def test_image_without_a_majority_is_left_out_of_every_split(tmp_path, faces, votes):
    data = FERPlusDataModule("fer8", data_dir=write(tmp_path, faces, votes))
    ids = data.read_samples.ids.tolist()
    assert not {"00002", "00004", "00050"} & set(ids)
    for split in SPLITS:
        assert (data.targets(split) >= 0).all()
    row = {f"{i:05d}" for i in range(len(faces)) if official(votes[i].tolist(), "majority") is not None}
    assert set(ids) == row


@pytest.mark.parametrize("mode", ["hard", "probability", "cross_entropy", "multi_target"])
def test_target_modes_change_training_and_nothing_else(tmp_path, faces, votes, mode):
    plain = FERPlusDataModule("fer8", data_dir=write(tmp_path, faces, votes))
    data = FERPlusDataModule("fer8", data_dir=str(tmp_path), target_mode=mode, batch_size=8)
    for split in ("validation", "test"):
        assert data.targets(split, training=False).tolist() == plain.targets(split).tolist()
        assert data.targets(split).ndim == 1
    (batch,) = list(data.val_dataloader())
    assert batch["target"].tolist() == plain.targets("validation").tolist()

    training = data.targets("train", training=True)
    rows = [int(i) for i in data.read_samples.ids[data.read_samples.where("train")]]
    if mode == "hard":
        assert training.tolist() == plain.targets("train").tolist()
    elif mode == "multi_target":
        expected = np.stack([np.where(official(votes[row].tolist(), mode) > 0, 0.999, 0.001) for row in rows])
        np.testing.assert_allclose(training, expected, rtol=1e-6)
    else:
        expected = np.stack([official(votes[row].tolist(), "cross_entropy") for row in rows])
        np.testing.assert_allclose(training, expected, rtol=1e-6)
        np.testing.assert_allclose(training.sum(axis=1), 1, rtol=1e-6)
    loaded = next(iter(data.train_dataloader()))
    assert loaded["target"].shape == ((8,) if mode == "hard" else (8, 8))


def test_dataset_without_votes_refuses_their_target_modes(tmp_path, faces):
    from fer_bench.datasets.fer2013.module import FER2013DataModule

    write_csv(tmp_path, faces)
    data = FER2013DataModule("fer7", data_dir=str(tmp_path), target_mode="probability")
    with pytest.raises(SpecError, match=r"target_mode = 'probability'.*fer2013"):
        data.train_dataloader()


def test_votes_of_another_number_of_rows_are_refused(tmp_path, faces, votes):
    write_csv(tmp_path, faces)
    shorter = Faces(faces.images[:-1], faces.labels[:-1], faces.usage[:-1])
    path = write_votes(tmp_path, shorter, votes[:-1])
    with pytest.raises(
        BadDataError,
        match=rf"{path}: {len(faces) - 1} rows of votes do not match the {len(faces)} rows of fer2013\.csv",
    ):
        read_ferplus(str(tmp_path))


def test_votes_whose_usage_differs_are_refused_with_the_line(tmp_path, faces, votes):
    write_csv(tmp_path, faces)
    usage = faces.usage.copy()
    usage[7] = "PrivateTest"
    write_votes(tmp_path, Faces(faces.images, faces.labels, usage), votes)
    with pytest.raises(BadDataError, match="line 9"):
        read_ferplus(str(tmp_path))


@pytest.mark.parametrize("case", ["sorted by label", "one row later"])
def test_faces_in_another_order_than_the_votes_are_refused(tmp_path, case):
    faces = make_faces((40, 6, 6))
    write_votes(tmp_path, faces, make_votes(faces))
    path = write_csv(tmp_path, faces)
    header, *rows = path.read_text().splitlines()
    train = [row for row in rows if row.endswith("Training")]
    moved = sorted(train) if case == "sorted by label" else [*train[1:], train[0]]
    path.write_text("\n".join([header, *moved, *rows[len(train) :]]) + "\n")
    with pytest.raises(BadDataError, match=r"fer2013new.csv: from line \d+ to \d+, .*rows in another order"):
        read_ferplus(str(tmp_path))


def test_class_folders_have_lost_the_rows_that_votes_refer_to(tmp_path, faces, votes):
    write_folders(tmp_path, faces)
    write_votes(tmp_path, faces, votes)
    with pytest.raises(MissingDataError, match="row by row"):
        read_ferplus(str(tmp_path))


def test_missing_votes_say_where_was_looked(tmp_path, faces):
    write_csv(tmp_path, faces)
    with pytest.raises(MissingDataError) as error:
        read_ferplus(str(tmp_path))
    assert "fer2013new.csv" in error.value.problem
    assert str(tmp_path / "ferplus") in error.value.problem
    assert "FERPlus repository" in error.value.hint


BAD = {
    "a count is text": (lambda line: line.rsplit(",", 1)[0] + ",many", "line 4: a count of votes is not an integer"),
    "a column too few": (lambda line: line.rsplit(",", 1)[0], "line 4: 11 columns instead of 12"),
    "a negative count": (lambda line: line.rsplit(",", 1)[0] + ",-1", "line 4: "),
    "unknown usage": (lambda line: "Test" + line[line.index(",") :], "line 4: Usage 'Test' is none of"),
    "no votes at all": (lambda line: ",".join(line.split(",")[:2]) + ",0" * 10, "line 4: "),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_row_of_votes_is_named_by_its_line(tmp_path, faces, votes, case):
    change, expected = BAD[case]
    path = write_votes(tmp_path, faces, votes)
    lines = path.read_text().split("\n")
    lines[3] = change(lines[3])
    path.write_text("\n".join(lines))
    with pytest.raises(BadDataError) as error:
        read_votes(path)
    assert expected in error.value.problem
    assert str(path) in error.value.problem


def test_missing_column_and_empty_file(tmp_path):
    path = tmp_path / "fer2013new.csv"
    path.write_text("Usage,Image name,neutral\n")
    with pytest.raises(BadDataError, match="line 1: the column 'happiness' is missing"):
        read_votes(path)
    path.write_text("")
    with pytest.raises(BadDataError, match="line 1"):
        read_votes(path)


def test_blank_lines_at_the_end_are_no_rows(tmp_path, faces, votes):
    path = write_votes(tmp_path, faces, votes)
    path.write_text(path.read_text() + "\n\n")
    assert len(read_votes(path)[0]) == len(faces)


def test_checksums_follow_the_votes_and_the_faces(tmp_path, faces, votes):
    first = read_ferplus(write(tmp_path / "a", faces, votes)).checksums
    assert read_ferplus(write(tmp_path / "b", faces, votes, write_icml)).checksums == first
    other = votes.copy()
    row = int(np.flatnonzero(faces.usage == "PrivateTest")[0])
    other[row] = np.roll(other[row], 1)
    changed = read_ferplus(write(tmp_path / "c", faces, other)).checksums
    assert {split: first[split] == changed[split] for split in SPLITS} == {
        "train": True,
        "validation": True,
        "test": False,
    }


def test_second_open_does_not_process_again(tmp_path, faces, votes, monkeypatch):
    folder = write(tmp_path, faces, votes)
    first = read_ferplus(folder)
    monkeypatch.setattr("fer_bench.datasets.ferplus.votes.process_votes", lambda *_: pytest.fail("processed again"))
    assert (read_ferplus(folder).targets["fer8"] == first.targets["fer8"]).all()


@needs_real
def test_the_real_votes(real_faces):
    samples = read_ferplus(str(real_faces))
    protocol = PROTOCOLS["ferplus-fer8"]
    assert samples.checksums == protocol.checksums
    majority = samples.targets["fer8"]
    assert int((majority[samples.where("test")] >= 0).sum()) == protocol.n_test
    for row in range(0, len(samples), 10):
        shares = official(samples.columns["votes"][row].tolist(), "majority")
        assert majority[row] == (-1 if shares is None else shares.argmax())
