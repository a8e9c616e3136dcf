import os
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_bench.ensembles.human_baseline import (
    TaggedSplit,
    agreement,
    build_human_rows,
    deal,
    seat_outputs,
)
from fer_bench.errors import BadDataError
from fer_bench.leaderboard.render import render_all
from fer_bench.leaderboard.verify import verify
from fer_bench.protocols import TASKS, Protocol
from fer_bench.results.inputs import digest
from fer_bench.results.store import Store

PROTOCOL = Protocol("toyplus", TASKS["fer8"])
DATA = {"checksums": {"validation": "b", "test": "c"}, "known_copy": True}


def votes_of(seed, n=80, per_image=10):
    """Votes over eight emotions, unknown and not a face; some images are clear, some are not."""
    generator = np.random.default_rng(seed)
    shares = generator.dirichlet(np.full(10, 0.3), size=n)
    return np.stack([generator.multinomial(per_image, share) for share in shares])


def tagged(seed, split):
    votes = votes_of(seed)
    top = votes.argmax(axis=1)
    kept = (votes.max(axis=1) > 5) & (top < 8)
    flags = {"duplicate": np.arange(len(votes)) % 5 == 0} if split == "test" else {}
    return TaggedSplit(np.array([f"{split}{i:03d}" for i in range(len(votes))]), votes, np.where(kept, top, -1), flags)


@pytest.fixture
def rows(tmp_path):
    store = Store(tmp_path)
    splits = {"validation": tagged(1, "validation"), "test": tagged(2, "test")}
    return store, splits, build_human_rows(store, PROTOCOL, splits, DATA)


def leave_one_out_by_brute_force(votes):
    total = Fraction(0)
    for row in votes:
        for column, count in enumerate(row):
            rest = [v - (c == column) for c, v in enumerate(row)]
            top = [c for c, v in enumerate(rest) if v == max(rest)]
            total += Fraction(int(count), int(sum(row))) * (Fraction(1, len(top)) if column in top else 0)
    return float(total / len(votes))


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 1000), st.integers(0, 5))
def test_dealing_keeps_every_vote(seed, shuffle):
    votes = votes_of(seed, n=20)
    seats = deal(votes, shuffle)
    assert seats.shape == (20, 10)
    np.testing.assert_array_equal(np.stack([np.bincount(row, minlength=10) for row in seats]), votes)
    np.testing.assert_array_equal(seats, deal(votes, shuffle))


def test_seats_are_dealt_without_favour():
    votes = np.tile([6, 0, 0, 4, 0, 0, 0, 0, 0, 0], (4000, 1))
    assert (deal(votes) == 0).mean(axis=0) == pytest.approx(np.full(10, 0.6), abs=0.03)


def test_votes_for_no_emotion_are_no_answers():
    outputs = seat_outputs(np.array([0, 7, 8, 9]), 8)
    assert outputs[:2].argmax(axis=1).tolist() == [0, 7]
    assert outputs[:2].sum() == 2
    assert np.isnan(outputs[2:]).all()


def test_images_with_other_numbers_of_votes_are_refused():
    with pytest.raises(BadDataError, match="9, 10 votes"):
        deal(np.array([[9, 0], [5, 5]]))


def test_the_row_is_the_expected_accuracy_of_one_vote(rows):
    _, splits, records = rows
    assert len(records) == 10
    assert len({record.row for record in records}) == 1
    test = splits["test"]
    kept = test.targets >= 0
    assert 0 < kept.sum() < len(kept)
    expected = (test.votes[kept, test.targets[kept]] / 10).mean()
    assert np.mean([record.metrics["accuracy"] for record in records]) == pytest.approx(expected, abs=1e-12)
    assert np.mean([record.metrics["n_unanswered"] for record in records]) == pytest.approx(
        test.votes[kept, 8:].sum() / 10
    )
    assert np.mean([record.metrics["clean"]["n"] for record in records]) == (kept & ~test.flags["duplicate"]).sum()
    assert all(
        record.kind == "human" and record.model == "taggers" and record.n_scored == kept.sum() for record in records
    )


def test_it_is_verified_and_shown_but_not_ranked(rows):
    store, _, records = rows
    assert verify(store).differences == ()
    render_all(store)
    page = (store.root / "toyplus-fer8.md").read_text()
    line = next(line for line in page.splitlines() if "taggers" in line)
    assert line.startswith("| – |")
    assert "*human* ¹" in line
    assert "each vote is part of its own target" in page
    again = build_human_rows(store, PROTOCOL, rows[1], DATA)
    assert [record.predictions for record in again] == [record.predictions for record in records]


def test_agreement_is_leave_one_out_over_kept_and_over_all_images(rows):
    _, splits, records = rows
    test = splits["test"]
    found = records[3].training["agreement"]
    kept, everything = found["test_images_kept"], found["test_images_all"]
    assert kept["leave_one_out"] == pytest.approx(
        leave_one_out_by_brute_force(test.votes[test.targets >= 0]), abs=1e-12
    )
    assert everything["leave_one_out"] == pytest.approx(leave_one_out_by_brute_force(test.votes), abs=1e-12)
    assert (kept["n"], everything["n"]) == ((test.targets >= 0).sum(), 80)
    assert kept["leave_one_out"] > everything["leave_one_out"]
    assert f"{100 * kept['leave_one_out']:.2f} %" in records[3].caveats[0]
    assert f"{100 * everything['leave_one_out']:.2f} %" in records[3].caveats[1]


def test_agreement_that_does_not_follow_from_the_votes_is_found(rows):
    store, _, records = rows
    found = records[0].training["agreement"]
    flattered = found | {"test_images_all": found["test_images_all"] | {"leave_one_out": 0.99}}
    store.amend(records[0].model_copy(update={"training": records[0].training | {"agreement": flattered}}))
    differences = verify(store).differences
    store.amend(records[0])
    assert [difference.key for difference in differences] == ["training.agreement.test_images_all.leave_one_out"]


def test_undefined_agreement_is_none_not_nan():
    unanimous = np.tile([10] + [0] * 9, (5, 1))
    assert agreement(unanimous, 8)["fleiss_kappa"] is None
    assert agreement(unanimous, 8)["krippendorff_alpha"] is None
    assert agreement(unanimous, 8)["leave_one_out"] == 1.0


def test_another_copy_does_not_pass_for_the_known_one(rows):
    store, splits, records = rows
    foreign = build_human_rows(store, PROTOCOL, splits, {"checksums": {"test": "feedbeef99"}, "known_copy": False})
    assert foreign[0].row == records[0].row + "-x" + digest({"test": "feedbeef99"})


@pytest.mark.skipif(
    "FER_BENCH_TEST_FER2013" not in os.environ, reason="FER_BENCH_TEST_FER2013 names no folder with the real data"
)
def test_the_real_votes(tmp_path):
    from fer_bench.datasets.ferplus.votes import process_votes, read_votes

    votes, usage = read_votes(Path(os.environ["FER_BENCH_TEST_FER2013"]) / "fer2013new.csv")
    splits = {}
    for split in ("validation", "test"):
        at = usage == split
        majority = np.stack([process_votes(row, "majority") for row in votes[at]])
        targets = np.where(majority.sum(axis=1) > 0, majority.argmax(axis=1), -1)
        splits[split] = TaggedSplit(np.flatnonzero(at).astype(str), votes[at], targets)
    records = build_human_rows(Store(tmp_path), Protocol("ferplus", TASKS["fer8"], n_test=3153), splits, DATA)
    assert {record.n_scored for record in records} == {3153}
    assert np.mean([record.metrics["accuracy"] for record in records]) == pytest.approx(0.785442, abs=1e-6)
    found = records[0].training["agreement"]
    assert found["test_images_kept"]["leave_one_out"] == pytest.approx(0.771408, abs=1e-6)
    assert found["test_images_all"]["leave_one_out"] == pytest.approx(0.702106, abs=1e-6)
