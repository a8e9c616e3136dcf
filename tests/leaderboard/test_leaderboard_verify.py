import base64
import json
import re
from types import SimpleNamespace

import numpy as np
import pytest

from fer_bench.errors import FerBenchError, RecordError, UnknownNameError, VerificationError
from fer_bench.leaderboard.compare import compare
from fer_bench.leaderboard.differences import compare_values
from fer_bench.leaderboard.rank import rank
from fer_bench.leaderboard.render import render
from fer_bench.leaderboard.significance import mcnemar_p
from fer_bench.leaderboard.uncertainty import Uncertainty
from fer_bench.leaderboard.verify import verify
from fer_bench.predictions import Predictions
from fer_bench.protocols import TASKS, Protocol
from fer_bench.results.record import pack_outcomes
from fer_bench.results.store import Store
from fer_bench.scoring.score import correct, score
from fer_bench.site.row import _test as row_test
from tests.leaderboard.fake_records import CHECKSUMS, PROTOCOL, N, paired_weighted_f1, predictions, put, record, run
from tests.plain_bootstrap import paired_bootstrap, resamples


@pytest.fixture
def store(tmp_path):
    made = Store(tmp_path)
    put(
        made,
        run(0.70, row="aaa", seed=0, duplicates=30),
        run(0.72, row="aaa", seed=1, duplicates=30),
        run(0.6, "other", "bbb", duplicates=30),
    )
    put(made, (record(row="ccc", status="nan"), {}))
    return made


def tamper(store, run_id, change):
    path = next(path for path in store.files() if path.stem == run_id)
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    return path


def flip(content):
    bits = np.unpackbits(np.frombuffer(__import__("base64").b64decode(content["outcomes"]), dtype=np.uint8))[:N].astype(
        bool
    )
    bits[3] = not bits[3]
    content["outcomes"] = pack_outcomes(bits)


def test_untouched_records_verify(store):
    report = verify(store)
    assert (report.ok, report.n_verified, report.n_without) == (True, 3, 1)
    report.require_ok()
    assert verify(store, ["toy-fer7"]) == report
    assert verify(store, []) == report
    with pytest.raises(UnknownNameError, match=r"unknown protocol with records 'toy-fer8'.*'toy-fer7'"):
        verify(store, ["toy-fer8"])


def test_intervals_over_whole_groups_and_those_of_records_that_know_of_none(tmp_path):
    store, people = Store(tmp_path), np.array([f"p{i // 10:03d}" for i in range(N)])
    test = predictions(0.7, 3, groups=people)
    for row, by_sample in (("new", False), ("old", True)):
        put(store, (record(row=row, test=test, scores=score(PROTOCOL, test, by_sample=by_sample)), {"test": test}))
    assert verify(store).ok
    (page,) = (text for path, text in render(store).items() if path.stem == PROTOCOL.name)
    assert "(whole clips or people in the rows of newer records, single samples in the others)" in page
    tamper(store, "new-s0", lambda content: content["metrics"].pop("n_groups"))
    assert {difference.key for difference in verify(store).differences} >= {"metrics.intervals.accuracy.0"}


@pytest.mark.parametrize(
    ("change", "key"),
    [
        (lambda c: c["metrics"].update(accuracy=c["metrics"]["accuracy"] + 2e-9), "metrics.accuracy"),
        (lambda c: c["metrics"]["clean"].update(macro_f1=0.9), "metrics.clean.macro_f1"),
        (lambda c: c["metrics"]["intervals"]["accuracy"].__setitem__(0, 0.1), "metrics.intervals.accuracy.0"),
        (lambda c: c["metrics"]["confusion"][2].__setitem__(1, 99), "metrics.confusion.2.1"),
        (lambda c: c["metrics"].pop("ece"), "metrics.ece"),
        (lambda c: c["metrics"].update(shine=1.0), "metrics.shine"),
        (lambda c: c["metrics"].update(nll=None), "metrics.nll"),
        (lambda c: c["validation_metrics"].update(accuracy=0.99), "validation_metrics.accuracy"),
        (lambda c: c.update(n_scored=N + 1), "n_scored"),
        (lambda c: c["predictions"]["test"].update(n=N + 1), "predictions.test.n"),
        (flip, "outcomes"),
        (lambda c: c.update(outcomes="?"), "outcomes"),
        (lambda c: c.update(outcomes=""), "outcomes"),
        (lambda c: c["predictions"].pop("test"), "predictions.test"),
        (lambda c: c["predictions"].pop("validation"), "predictions.validation"),
        (lambda c: c.update(status="done"), "the file"),
        (lambda c: c.update(run_id="zzz"), "the file"),
        (lambda c: c.update(task="fer8"), "protocol"),
        (lambda c: c.update(task="nonsense"), "protocol"),
    ],
)
def test_tampered_record(store, change, key):
    path = tamper(store, "aaa-s1", change)
    report = verify(store)
    assert report.differences[0].file == path
    assert report.differences[0].key == key
    assert {difference.file for difference in report.differences} == {path}
    with pytest.raises(VerificationError, match=re.escape(str(path))) as caught:
        report.require_ok()
    assert caught.value.exit_code == 1


def test_rounding_within_the_tolerance_is_no_difference(store):
    tamper(store, "aaa-s1", lambda c: c["metrics"].update(accuracy=c["metrics"]["accuracy"] + 5e-10))
    assert verify(store).ok


@pytest.mark.parametrize("split", ["test", "validation"])
def test_tampered_predictions(store, split):
    entry = store.get("aaa-s1").predictions[split]
    path = store.folder(store.get("aaa-s1")) / entry.file
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))
    assert [(d.key, "SHA-256 differs" in d.recomputed) for d in verify(store).differences] == [
        (f"predictions.{split}", True)
    ]
    path.unlink()
    assert [(d.key, "missing" in d.recomputed) for d in verify(store).differences] == [(f"predictions.{split}", True)]


def test_a_run_that_is_repeated_while_it_is_verified(store, monkeypatch):
    made, splits = run(0.8, row="aaa", seed=1, duplicates=30)
    read = Store.predictions

    def slow(self, record, split="test"):
        if record.run_id == "aaa-s1":
            self.put(made, splits)
        return read(self, record, split)

    monkeypatch.setattr(Store, "predictions", slow)
    assert verify(store).ok
    assert store.get("aaa-s1").metrics["accuracy"] == made.metrics["accuracy"]


def test_other_order_of_samples_is_found(store):
    made, splits = run(0.65, row="ddd", duplicates=30)
    test = splits["test"].select(np.arange(N)[::-1])
    store.put(made.model_copy(update={"outcomes": pack_outcomes(correct(test))}), splits | {"test": test})
    assert [(d.file.stem, d.key) for d in verify(store).differences] == [("ddd-s0", "predictions.test.ids")]


@pytest.mark.parametrize(
    ("stored", "recomputed", "same"),
    [(1, 1.0, True), (None, 0.0, False), (True, 1, False), ([1], [1, 2], False), ("a", "a", True), (1e-10, 0, True)],
)
def test_compare_values(stored, recomputed, same):
    assert (list(compare_values(stored, recomputed, "k")) == []) is same


def test_compare_runs_by_mcnemar(store):
    found = compare(store, "aaa-s0", "bbb-s0", given_networks=True)
    a, b = (correct(store.predictions(store.get(name))) for name in ("aaa-s0", "bbb-s0"))
    assert found.p == mcnemar_p(int((a & ~b).sum()), int((b & ~a).sum()))
    assert found.difference == pytest.approx(a.mean() - b.mean(), abs=1e-12)
    assert (found.low, found.high) == pytest.approx(paired_bootstrap(np.mean, [a], [b])[1:3], abs=0.006)
    assert found.significant
    assert found.text().startswith(
        "net is better than other: Accuracy 70.00 % and 60.00 % (difference 10.00 %, 95 % interval"
    )
    back = compare(store, "bbb", "aaa-s0", given_networks=True)
    assert (back.p, back.difference) == (found.p, -found.difference)
    assert back.text().startswith("net is better than other")


@pytest.mark.parametrize("row", ["aaa", "aaa-s0"])
def test_whoever_is_named_first_the_numbers_are_the_same(store, row):
    found, back = (compare(store, *pair, given_networks=True) for pair in ((row, "bbb"), ("bbb", row)))
    assert (found.low, found.high, found.p) == (-back.high, -back.low, back.p)


def test_rows_of_one_name_are_told_apart_where_they_cannot_be_compared(tmp_path):
    store, other = Store(tmp_path), {"checksums": CHECKSUMS | {"test": "d" * 8}}
    put(store, run(0.7, row="0123456789"), run(0.7, row="0123456789-by-abcdef01", data=other))
    with pytest.raises(RecordError, match="0123456789-s0 and 0123456789-by-abcdef01 cannot be compared: the checksum"):
        compare(store, "0123456789-s0", "0123456789-by-abcdef01")


def test_accuracy_is_compared_over_whole_groups_where_samples_belong_together(tmp_path):
    """Pictures of a person are right or wrong together: forty people who were asked ten times are no four hundred."""
    store, people = Store(tmp_path), np.repeat([f"p{i:02d}" for i in range(40)], 10)
    generator = np.random.default_rng(4)
    targets, right = np.zeros(N, dtype=np.int64), {}
    for row, share in (("aaa", 0.65), ("bbb", 0.5)):
        right[row] = np.repeat(generator.random(40) < share, 10)
        outputs = np.where(right[row][:, None], np.eye(7)[0], np.eye(7)[1]).astype(np.float32)
        # Their names are in another order than the samples.
        test = Predictions(np.array([f"s{i:03d}" for i in range(N)]), targets, outputs, {}, people[::-1].copy())
        put(store, (record(row, row, test=test, scores=score(PROTOCOL, test)), {"test": test}))
    difference = right["aaa"].mean() - right["bbb"].mean()
    expected = paired_bootstrap(np.mean, [right["aaa"]], [right["bbb"]])
    gain = (right["aaa"].astype(float) - right["bbb"])[::10]
    drawn = [gain[rows].mean() for rows in resamples(40, 1000, 0)]
    found = compare(store, "aaa", "bbb", given_networks=True)
    assert found.difference == pytest.approx(difference)
    assert (found.low, found.high) == pytest.approx(np.quantile(drawn, [0.025, 0.975]), abs=0.03)
    assert found.high - found.low > 2.5 * (expected.high - expected.low)
    assert "paired bootstrap over 40 groups of samples" in found.text()
    board = rank(PROTOCOL, store.records(PROTOCOL.name), store.predictions)
    assert "over whole groups of test samples (clips, people or photographs)" in board.test
    assert [(placed.rank, placed.last) for placed in board.placed] == [(1, 2), (1, 2)]
    assert board.placed[1].p_above == pytest.approx(found.p)
    assert board.placed[1].p_above > 0.05 > expected.p
    # The page of a row compares it by the same sums.
    rows = [placed.row for placed in board.placed]
    subject = SimpleNamespace(
        row=rows[0], protocol=PROTOCOL, uncertainty=Uncertainty(PROTOCOL, rows, store.predictions)
    )
    in_page = row_test(subject)
    assert (in_page["units"], len(base64.b64decode(in_page["deviations"]))) == (40, 4 * 40)
    # Without the predictions nothing says who belongs together.
    alone = rank(PROTOCOL, store.records(PROTOCOL.name))
    assert alone.placed[1].p_above < 0.01


def test_compare_rows_averages_seeds(store):
    found = compare(store, "aaa", "bbb")
    assert found.value_a == pytest.approx(0.71, abs=1e-9)
    assert "over training again" in found.test
    assert compare(store, "aaa", "bbb", given_networks=True).test.startswith("paired bootstrap")
    same = compare(store, "aaa-s0", "aaa-s1")
    assert not same.significant
    assert same.text().startswith("aaa-s0 and aaa-s1 are not significantly different")


def seeds(row, *accuracies, **fields):
    return [run(accuracy, row=row, seed=seed, **fields) for seed, accuracy in enumerate(accuracies)]


def test_runs_of_a_row_are_compared_with_all_its_trainings_in_mind(tmp_path):
    store = Store(tmp_path)
    put(store, *seeds("aaa", 0.70, 0.64, 0.67))
    found = compare(store, "aaa-s0", "aaa-s1")
    assert "pooled over 1 row" in found.test
    assert not found.significant


def test_the_noise_that_is_said_is_that_of_the_kinds_that_are_compared(tmp_path):
    store = Store(tmp_path)
    put(store, run(0.70, row="net"), run(0.71, row="vote", kind="ensemble"), *seeds("heads", 0.5, 0.6, kind="probe"))
    # Frozen heads lend their noise to the others, which have none of their own.
    lent = compare(store, "net", "vote").test
    assert lent.endswith("pooled over 1 row of frozen heads with several seeds and assumed of all other rows")
    assert rank(PROTOCOL, store.records(), store.predictions).test == lent.removeprefix("tested ")
    put(store, *seeds("again", 0.70, 0.72))
    both = compare(store, "net", "vote").test
    own, other = re.findall(r"± ([0-9.]+ %) for (.*?\))", both)
    assert own[1] == "networks (pooled over 1 row with several seeds)"
    assert other[1] == "ensembles (none of theirs has several seeds: pooled over all 2 rows that have)"
    assert own[0] != other[0]
    assert compare(store, "net", "again").test.endswith(
        "pooled over 1 row with several seeds and assumed of rows with one seed"
    )


def test_compare_weighted_f1(tmp_path):
    protocol = Protocol("toy", TASKS["emo8"])
    store = Store(tmp_path)
    a, b = put(store, run(0.66, row="a", protocol=protocol), run(0.62, row="b", protocol=protocol))
    found = compare(store, "a-s0", "b-s0")
    pa, pb = store.predictions(a), store.predictions(b)
    reference = paired_weighted_f1(pa, pb)
    assert found.difference == pytest.approx(reference.difference, abs=1e-12)
    assert (found.low, found.high) == pytest.approx((reference.low, reference.high), abs=0.01)


def test_compare_follows_ids(store):
    made, splits = run(0.70, row="aaa", seed=0, duplicates=30)
    turned = splits["test"].select(np.arange(N)[::-1])
    store.put(made.model_copy(update={"run_id": "ddd-s0", "row": "ddd"}), {"test": turned})
    found = compare(store, "aaa-s0", "ddd", given_networks=True)
    assert (found.difference, found.p, found.low, found.high) == (0.0, 1.0, 0.0, 0.0)


def strange(splits, what):
    test = splits["test"]
    ids, targets = test.ids.copy(), test.targets.copy()
    if what == "ids":
        ids[5] = "stranger"
    else:
        targets[5] = (targets[5] + 1) % 7
    return {"test": Predictions(ids, targets, test.outputs)}


@pytest.mark.parametrize(
    ("fields", "what", "message"),
    [
        ({}, "ids", "2 test ids are not in both, 's00005'"),
        ({}, "targets", "the target of test sample 's00005' is different"),
        (
            {"data": {"checksums": {"test": "other"}}},
            "",
            r"the checksum of the test split differs \(cccccccc and other\)",
        ),
    ],
)
def test_compare_refuses_other_samples(store, fields, what, message):
    made, splits = run(0.6, "strange", "ddd", **fields)
    store.put(made, strange(splits, what) if what else splits)
    with pytest.raises(RecordError, match=message):
        compare(store, "aaa", "ddd")


def test_compare_refuses_other_labels_and_unknown_rows(store):
    put(store, run(0.6, row="eee", protocol=Protocol("toy", TASKS["fer8"])))
    with pytest.raises(RecordError, match=r"the label set differs \(fer7 and fer8\)"):
        compare(store, "aaa", "eee")
    with pytest.raises(RecordError, match="none of its runs has finished"):
        compare(store, "aaa", "ccc")
    with pytest.raises(FerBenchError, match="no record matches"):
        compare(store, "aaa", "nowhere")
    put(store, run(0.6, row="aab"))
    with pytest.raises(RecordError, match="2 rows begin with 'aa'"):
        compare(store, "aa", "bbb")
