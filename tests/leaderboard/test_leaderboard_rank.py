import dataclasses

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from statsmodels.stats.contingency_tables import mcnemar

from fer_bench.errors import RecordError
from fer_bench.leaderboard.rank import rank
from fer_bench.leaderboard.rows import row_names
from fer_bench.leaderboard.significance import (
    ByReplicates,
    align,
    choose_test,
    joint_table,
    mcnemar_p,
    resampled_gain,
    table_p,
)
from fer_bench.protocols import TASKS, Protocol
from fer_bench.results.record import pack_outcomes
from fer_bench.results.store import Store
from fer_bench.scoring.resampling import two_sided_p
from fer_bench.scoring.rows import Row
from tests.leaderboard.fake_records import CHECKSUMS, PROTOCOL, N, paired_weighted_f1, predictions, put, record, run
from tests.plain_bootstrap import paired_bootstrap

PINNED = dataclasses.replace(PROTOCOL, n_test=N, checksums=CHECKSUMS, version=2)


def records(*runs):
    return [made for made, _ in runs]


def outcomes(right, **fields):
    """A record that answered exactly these samples rightly."""
    return record(
        metrics={"accuracy": float(np.mean(right))},
        n_scored=len(right),
        outcomes=pack_outcomes(np.asarray(right)),
        **fields,
    )


def test_seeds_of_a_row_are_joined():
    made = records(run(0.70, seed=0), run(0.72, seed=1), run(0.74, seed=2), run(0.5, row="r1"))
    board = rank(PROTOCOL, made)
    first = board.placed[0]
    assert [len(placed.row.records) for placed in board.placed] == [3, 1]
    values = [r.metrics["accuracy"] for r in made[:3]]
    assert first.value == pytest.approx(np.mean(values), abs=1e-12)
    assert first.row.std("accuracy") == pytest.approx(np.std(values, ddof=1), abs=1e-12)
    assert first.row.interval("accuracy") == pytest.approx(
        np.mean([r.metrics["intervals"]["accuracy"] for r in made[:3]], axis=0), abs=1e-12
    )
    assert board.placed[1].row.std("accuracy") is None


def test_ranges_of_ranks_of_given_networks():
    # Nested sets of right answers: neighbours differ in four samples, the first and the third in eight.
    def first(k):
        return np.arange(1000) < k

    made = [outcomes(first(k), row=name, model=name) for name, k in (("a", 700), ("b", 696), ("c", 692), ("d", 600))]
    board = rank(PROTOCOL, made)
    # a-b: 4 discordant, p = 0.125; b-c: the same; a-c: 8 discordant, p = 0.0078, which holds for all pairs together.
    assert [(p.row.model, p.rank, p.last) for p in board.placed] == [("a", 1, 2), ("b", 1, 3), ("c", 2, 3), ("d", 4, 4)]
    assert [p.p_above for p in board.placed[:3]] == [None, pytest.approx(0.125), pytest.approx(0.125)]
    assert board.placed[3].p_above < 1e-10


def test_ties_go_by_name_and_share():
    right = np.arange(100) < 60
    board = rank(PROTOCOL, [outcomes(right, row="r" + name, model=name) for name in ("beta", "alpha", "gamma")])
    assert [(p.row.model, p.rank, p.p_above) for p in board.placed] == [
        ("alpha", 1, None),
        ("beta", 1, 1.0),
        ("gamma", 1, 1.0),
    ]


def test_lower_is_better_turns_the_order():
    protocol = Protocol("toy", dataclasses.replace(TASKS["fer7"], primary="nll"))
    board = rank(
        protocol,
        [
            record(model=name, row=name, metrics={"nll": v}, n_scored=5)
            for name, v in (("a", 0.9), ("b", 0.4), ("c", 0.9))
        ],
    )
    assert [(p.row.model, p.rank, p.p_above) for p in board.placed] == [("b", 1, None), ("a", 2, None), ("c", 2, None)]
    assert board.test == ""


def test_people_stand_in_the_table_but_not_in_the_ranking():
    made = records(run(0.9, "best", "r1"), run(0.7, "tagger", "r2", kind="human"), run(0.5, "worst", "r3"))
    board = rank(PROTOCOL, made)
    assert [(p.row.model, p.rank) for p in board.placed] == [("best", 1), ("tagger", None), ("worst", 2)]
    assert rank(PROTOCOL, made[1:]).best.row.model == "worst"
    assert rank(PROTOCOL, made[1:2]).best is None


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"status": "nan"}, "NaN"),
        ({"status": "failed", "message": "disk full"}, "failed: disk full"),
        ({"protocol_version": 1}, "protocol version 1, current is 2"),
        ({"data": {"checksums": CHECKSUMS | {"test": "other"}}}, "another copy"),
        ({"data": {"checksums": CHECKSUMS | {"train": "other"}}}, "another copy"),
        ({"data": {}}, "does not say"),
        ({"n_scored": N - 1}, f"scored {N - 1} samples"),
        ({"metrics": {"accuracy": None, "reasons": {"accuracy": "no samples"}}}, "accuracy is undefined: no samples"),
    ],
)
def test_listed_apart(fields, reason):
    good = [run(0.7, seed=s, protocol_version=2)[0] for s in (0, 1)]
    bad = run(0.9, seed=2, protocol_version=2)[0].model_copy(update=fields)
    board = rank(PINNED, [*good, bad])
    assert [(entry.record.seed, reason in entry.reason) for entry in board.unranked] == [(2, True)]
    assert [len(p.row.records) for p in board.placed] == [2]
    assert board.placed[0].row.caveats == ("1 more run not ranked",)
    assert rank(PINNED, good).unranked == ()


def test_only_the_test_split_must_be_named():
    ensemble = run(0.7, kind="ensemble", protocol_version=2, data={"checksums": {"test": CHECKSUMS["test"]}})[0]
    assert rank(PINNED, [ensemble]).unranked == ()


def test_without_pinned_checksums_each_copy_has_a_table_of_its_own():
    mine, theirs = {"checksums": {"test": "mine"}}, {"checksums": {"test": "theirs"}}
    made = [
        run(0.7, row=f"r{i}", data=data, n=n, created=f"2026-01-0{i}")[0]
        for i, (data, n) in enumerate([(theirs, N), (theirs, N), (mine, 300)], start=1)
    ]
    board = rank(PROTOCOL, made)
    assert [placed.row.key for placed in board.placed] == ["r3"]
    assert board.n_test == 300
    (other,) = board.others
    assert [sorted(placed.row.key for placed in other.placed), other.n_test, board.unranked, other.unranked] == [
        ["r1", "r2"],
        N,
        (),
        (),
    ]
    # a stray run on a third copy unranks nobody
    stray = run(0.9, row="r9", data={"checksums": {"test": "stray"}}, created="2025-01-01")[0]
    again = rank(PROTOCOL, [stray, *made])
    assert [again.placed, *(other.placed for other in again.others[:1])] == [board.placed, other.placed]
    assert rank(PROTOCOL, made, present=other.copy).placed == other.placed


@given(st.permutations(range(6)))
@settings(max_examples=20, deadline=None)
def test_order_of_records_does_not_matter(order):
    made = [outcomes(np.arange(50) % 7 < k, row=f"r{k}", model="m", seed=s) for k in (2, 3, 4) for s in (0, 1)]
    expected = rank(PROTOCOL, made)
    assert rank(PROTOCOL, [made[i] for i in order]) == expected


@given(st.integers(0, 60), st.integers(0, 60))
@example(12, 12)
@example(13, 12)
@example(0, 4)
@example(0, 0)
@settings(max_examples=80, deadline=None)
def test_mcnemar_equals_statsmodels(only_a, only_b):
    a = np.arange(130) < only_a
    b = (np.arange(130) >= 60) & (np.arange(130) < 60 + only_b)
    expected = mcnemar([[50, only_a], [only_b, 7]], exact=only_a + only_b < 25, correction=True).pvalue
    # The continuity correction must not turn no difference into one.
    expected = 1.0 if only_a == only_b else expected
    assert mcnemar_p(only_a, only_b) == pytest.approx(expected, abs=1e-12)
    assert table_p(joint_table(a.astype(np.uint16), 1, b.astype(np.uint16), 1)) == mcnemar_p(only_a, only_b)


def test_resampled_gains_agree_with_mcnemar_and_hold_their_level():
    p_bootstrap, p_mcnemar = [], []
    for seed in range(200):
        generator = np.random.default_rng(seed)
        a, b = ((generator.random(200) < 0.7).astype(np.uint16) for _ in range(2))
        table = joint_table(a, 1, b, 1)
        p_bootstrap.append(two_sided_p(resampled_gain(table, seed)))
        p_mcnemar.append(table_p(table))
    assert np.corrcoef(p_bootstrap, p_mcnemar)[0, 1] > 0.97
    assert 0.015 <= np.mean(np.array(p_bootstrap) < 0.05) <= 0.095
    assert 0.4 < np.mean(p_bootstrap) < 0.65


@pytest.mark.parametrize(
    ("gain", "n"), [(0.01, 400), (0.05, 400), (0.0, 3000), (0.012, 3000), (0.018, 3000), (0.03, 3000)]
)
def test_seeded_rows_agree_with_the_row_by_row_bootstrap(gain, n):
    generator = np.random.default_rng(3)
    a = (generator.random((3, n)) < 0.70 + gain).sum(axis=0).astype(np.uint16)
    b = (generator.random((2, n)) < 0.70).sum(axis=0).astype(np.uint16)
    table = joint_table(a, 3, b, 2)
    reference = paired_bootstrap(np.mean, [a / 3], [b / 2], n_resamples=3000, seed=1)
    p = reference.p
    assert table_p(table) == pytest.approx(p, abs=4 * np.sqrt(p * (1 - p) / 1000) + 0.004)
    assert np.quantile(resampled_gain(table), [0.025, 0.975]) == pytest.approx(
        [reference.low, reference.high], abs=0.004 * np.sqrt(3000 / n)
    )
    assert table_p(table.T) == pytest.approx(table_p(table), abs=0.03)


def test_equal_rows_of_several_seeds_have_p_one():
    right = np.arange(300) % 4
    assert table_p(joint_table(right.astype(np.uint16), 3, right.astype(np.uint16), 3)) == 1.0


def test_other_statistics_agree_with_the_paired_confusion_bootstrap(tmp_path):
    protocol = Protocol("toy", TASKS["emo8"])
    store = Store(tmp_path)
    a, b = put(store, run(0.66, row="a", protocol=protocol), run(0.62, row="b", protocol=protocol))
    board = rank(protocol, [a, b], store.predictions)
    pa, pb = store.predictions(a), store.predictions(b)
    reference = paired_weighted_f1(pa, pb)
    assert board.placed[1].p_above == pytest.approx(reference.p, abs=4 * np.sqrt(reference.p / 1000))
    drawn = choose_test(protocol, store.predictions)
    difference = drawn.replicates(Row("a", (a,))) - drawn.replicates(Row("b", (b,)))
    assert np.quantile(difference, [0.025, 0.975]) == pytest.approx([reference.low, reference.high], abs=0.01)


def test_replicates_follow_ids_not_places(tmp_path):
    protocol = Protocol("toy", TASKS["emo8"])
    store = Store(tmp_path)
    made, splits = run(0.66, row="a", protocol=protocol)
    turned = made.model_copy(update={"run_id": "b-s0", "row": "b"}), {"test": splits["test"].select(np.arange(N)[::-1])}
    a, b = put(store, (made, splits), turned)
    test = ByReplicates(protocol, store.predictions)
    assert test.p(Row("a", (a,)), Row("b", (b,))) == 1.0
    foreign = predictions(0.6, 1, N, 8)
    foreign.ids[3] = "stranger"
    c = store.put(made.model_copy(update={"run_id": "c-s0", "row": "c"}), {"test": foreign})
    with pytest.raises(RecordError, match=r"c-s0: 2 test ids are not in both, 's00003'"):
        test.p(Row("a", (a,)), Row("c", (c,)))


def test_align_any_order_to_any_other():
    made = predictions(0.6, 1, 30)
    generator = np.random.default_rng(0)
    one, other = made.select(generator.permutation(30)), made.select(generator.permutation(30))
    aligned = align(one, other, "here")
    assert (aligned.ids == other.ids).all()
    assert (aligned.outputs == other.outputs).all()


def test_damaged_outcomes_name_the_record():
    good = outcomes(np.arange(100) < 50, row="a")
    bad = good.model_copy(update={"row": "b", "run_id": "b-s0", "outcomes": good.outcomes[:8]})
    with pytest.raises(RecordError, match=r"toy-fer7/net/b-s0.*outcomes"):
        rank(PROTOCOL, [good, bad])


def test_names_say_what_differs():
    def row(key, recipe="", **spec):
        return Row(
            key,
            (
                record(
                    row=key, recipe=recipe, spec={"lr": 0.1, "optimizer_options": {"momentum": 0.9}, "seed": 4} | spec
                ),
            ),
        )

    rows = [
        row("a"),
        row("b", lr=0.01),
        row("c", optimizer_options={"momentum": 0.8}),
        row("d", tta=10, tta_kind="flip"),
        row("e", "paper", lr=3),
    ]
    assert list(row_names(rows).values()) == [
        "net: lr 0.1, momentum 0.9",
        "net: lr 0.01, momentum 0.9",
        "net: lr 0.1, momentum 0.8",
        "net + TTA 10 flip",
        "net (paper)",
    ]
    same = [row("0123456789abc"), row("x")]
    assert list(row_names(same).values()) == ["net: 0123456789", "net: x"]


def test_rows_that_cannot_be_tested_leave_the_others_their_ranges():
    def first(k):
        return np.arange(1000) < k

    made = [outcomes(first(k), row=name, model=name) for name, k in (("a", 700), ("b", 600), ("c", 500))]
    silent = made[1].model_copy(update={"outcomes": ""})
    board = rank(PROTOCOL, [made[0], silent, made[2]])
    assert [(p.row.model, p.rank, p.last) for p in board.placed] == [("a", 1, 2), ("b", 1, 3), ("c", 2, 3)]
    assert board.test
    none = rank(PROTOCOL, [record.model_copy(update={"outcomes": ""}) for record in made])
    assert [(p.rank, p.last) for p in none.placed] == [(1, 1), (2, 2), (3, 3)]
    assert none.test == ""


def test_equal_rows_do_not_widen_the_ranges_of_others():
    made = records(run(0.7), run(0.6, "c", "c"))
    copies = [made[0].model_copy(update={"row": f"e{i}", "run_id": f"e{i}", "model": f"e{i}"}) for i in range(20)]
    board = rank(PROTOCOL, [*made, *copies])
    assert {(p.rank, p.last) for p in board.placed[:-1]} == {(1, 21)}
    assert (board.placed[-1].rank, board.placed[-1].last) == (22, 22)


def test_people_are_not_trained_again():
    trained = records(run(0.70, seed=0), run(0.75, seed=1))
    people = records(run(0.69, "h1", "h1", kind="human"), run(0.68, "h2", "h2", kind="human"))
    alone, beside = rank(PROTOCOL, people), rank(PROTOCOL, [*trained, *people])
    assert beside.placed[2].p_above == alone.placed[1].p_above


@pytest.mark.parametrize("n", [1, 2, 4])
def test_a_few_samples_order_nothing(n):
    made = [outcomes(np.full(n, right), row=name, model=name) for name, right in (("a", True), ("b", False))]
    board = rank(PROTOCOL, made)
    assert [(p.rank, p.last) for p in board.placed] == [(1, 2), (1, 2)]
    assert board.placed[1].p_above > 0.05


@pytest.mark.parametrize("n", [1, 3])
def test_a_few_clips_order_nothing(n):
    protocol = Protocol("toy", TASKS["emo8"])
    groups = np.arange(N) % n
    made = {}
    for i, accuracy in enumerate((0.8, 0.5)):
        test = predictions(accuracy, i, n_classes=8, groups=groups)
        made[f"r{i}-s0"] = (
            record(f"m{i}", f"r{i}", protocol=protocol, test=test, scores={"weighted_f1": accuracy}),
            test,
        )
    board = rank(protocol, [record for record, _ in made.values()], lambda record, _: made[record.run_id][1])
    assert [(p.rank, p.last) for p in board.placed] == [(1, 2), (1, 2)]
    assert board.placed[1].p_above > 0.05
