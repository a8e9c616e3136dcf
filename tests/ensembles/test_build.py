import numpy as np
import pytest

from fer_bench.ensembles import part as part_module
from fer_bench.ensembles.build import build_ensemble
from fer_bench.ensembles.curve import best_size
from fer_bench.ensembles.members import Pool, find_members
from fer_bench.ensembles.recompute import recompute_from_members
from fer_bench.ensembles.votes import combine
from fer_bench.errors import FerBenchError, RecordError, SpecError
from fer_bench.leaderboard.render import render_all
from fer_bench.leaderboard.verify import verify
from fer_bench.predictions import Predictions
from fer_bench.protocols import TASKS, Protocol
from fer_bench.results.store import Store
from fer_bench.scoring.score import score
from tests.ensembles.stored import CHECKSUMS, PROTOCOL, SIZES, fill, member, predictions

OPTIONS = [
    {},
    {"rule": "majority"},
    {"rule": "weighted", "top_k": 3},
    {"rule": "majority", "top_k": "best", "order": "test"},
    {"rule": "soft", "top_k": "best"},
    {"selection": "greedy"},
    {"selection": "greedy", "bags": 3, "top_k": 4},
    {"selection": "mixture"},
    {"selection": "stack", "top_k": 2},
]


@pytest.fixture
def store(tmp_path):
    made = Store(tmp_path)
    fill(made)
    return made


@pytest.mark.parametrize(
    "options", [pytest.param(one, marks=() if one else pytest.mark.draws) for one in OPTIONS], ids=str
)
def test_an_ensemble_is_verified_recomputed_and_ranked_like_any_record(store, options):
    record = build_ensemble(store, PROTOCOL, **options)
    assert verify(store).differences == ()
    assert recompute_from_members(store, record) == []
    assert record.metrics == score(PROTOCOL, store.predictions(record))
    assert record.kind == "ensemble"
    assert record.n_scored == SIZES["test"]
    assert record.data["checksums"] == CHECKSUMS
    assert len(record.training["members"]) == record.spec["n_members"]
    assert record.parameters["total"] == 12 * record.spec["n_members"]
    assert ("selected on test" in record.caveats) == (options.get("order") == "test")
    figure = store.folder(record) / f"{record.run_id}.curve.png"
    assert figure.read_bytes().startswith(b"\x89PNG")
    assert figure.stat().st_size < 60_000
    render_all(store)
    page = (store.root / "toy-fer7.md").read_text()
    assert f"ensemble ({record.recipe})" in page
    # What was selected says so, and nothing is written twice.
    first = {path.name: path.read_bytes() for path in store.folder(record).iterdir() if path.suffix != ".json"}
    assert build_ensemble(store, PROTOCOL, **options).run_id == record.run_id
    assert {path.name: path.read_bytes() for path in store.folder(record).iterdir() if path.suffix != ".json"} == first


def test_run_ids_follow_from_members_and_options(store):
    ids = {str(options): build_ensemble(store, PROTOCOL, **options).run_id for options in OPTIONS}
    assert len(set(ids.values())) == len(OPTIONS)
    names = [f"net{i}/r{i}-s{i}" for i in range(5)]
    assert build_ensemble(store, PROTOCOL, names[::-1]).run_id == ids["{}"]
    assert build_ensemble(store, PROTOCOL, [f"r{i}-s{i}" for i in range(4)]).run_id not in ids.values()


def test_the_parts_of_an_ensemble_against_their_definition(store):
    record = build_ensemble(store, PROTOCOL, rule="weighted", top_k=3)
    by_validation = sorted(
        range(5), key=lambda seed: -score(PROTOCOL, predictions(seed, "validation", 0.8 + 0.15 * seed))["accuracy"]
    )[:3]
    assert [entry["run_id"] for entry in record.training["members"]] == [f"r{i}-s{i}" for i in by_validation]
    weights = [score(PROTOCOL, predictions(i, "validation", 0.8 + 0.15 * i))["accuracy"] for i in by_validation]
    assert [entry["weight"] for entry in record.training["members"]] == pytest.approx(weights, abs=1e-12)
    expected = combine("weighted", [predictions(i, "test", 0.8 + 0.15 * i).outputs for i in by_validation], weights)
    np.testing.assert_array_equal(store.predictions(record).outputs, expected.astype(np.float32))
    curve = record.training["curve"]
    assert curve["test"]["weighted"][2] == pytest.approx(record.metrics["accuracy"], abs=1e-12)
    assert curve["validation"]["weighted"][2] == pytest.approx(record.validation_metrics["accuracy"], abs=1e-12)
    assert [len(curve[split][rule]) for split in SIZES for rule in ("majority", "weighted", "soft")] == [5] * 6
    assert curve["validation"]["soft"][0] == pytest.approx(weights[0], abs=1e-12)


def test_the_papers_way_orders_and_sizes_on_test(store):
    record = build_ensemble(store, PROTOCOL, rule="majority", top_k="best", order="test")
    by_test = sorted(
        range(5), key=lambda seed: -score(PROTOCOL, predictions(seed, "test", 0.8 + 0.15 * seed))["accuracy"]
    )
    curve = record.training["curve"]
    assert curve["members"] == [f"net{i}/r{i}-s{i}" for i in by_test]
    assert record.spec["n_members"] == best_size(curve["test"]["majority"])
    assert record.metrics["accuracy"] == max(curve["test"]["majority"][1:])


@pytest.mark.parametrize(
    "options",
    [
        {"selection": "greedy"},
        {"selection": "greedy", "bags": 4},
        {"rule": "weighted", "top_k": "best"},
        {"selection": "stack"},
    ],
    ids=str,
)
def test_other_test_predictions_lead_to_the_same_selection(tmp_path, options):
    chosen = []
    for name in ("as_they_are", "reversed"):
        store = Store(tmp_path / name)
        for seed in range(5):
            splits = {
                "validation": predictions(seed, "validation", 0.8 + 0.15 * seed),
                "test": predictions(seed if name == "as_they_are" else 40 - seed, "test"),
            }
            store.put(*member(seed, splits=splits))
        record = build_ensemble(store, PROTOCOL, **options)
        chosen.append(
            (
                [(entry["run_id"], entry["weight"]) for entry in record.training["members"]],
                record.training.get("stacker"),
                record.validation_metrics,
            )
        )
        assert record.training["curve"]["members"]
    assert chosen[0] == chosen[1]


@pytest.mark.parametrize(
    "options",
    [
        {"selection": "greedy"},
        {"selection": "greedy", "bags": 4},
        {"rule": "weighted", "top_k": "best"},
        {"rule": "majority", "top_k": 3},
        {"selection": "stack"},
    ],
    ids=str,
)
def test_other_test_labels_lead_to_the_same_selection(tmp_path, options):
    chosen, tested = [], []
    for name in ("as_they_are", "permuted"):
        store = Store(tmp_path / name)
        order = np.random.default_rng(3).permutation(SIZES["test"]) if name == "permuted" else np.arange(SIZES["test"])
        for seed in range(5):
            validation, test = (predictions(seed, split, 0.8 + 0.15 * seed) for split in ("validation", "test"))
            store.put(
                *member(
                    seed,
                    splits={"validation": validation, "test": Predictions(test.ids, test.targets[order], test.outputs)},
                )
            )
        record = build_ensemble(store, PROTOCOL, **options)
        chosen.append(
            (
                [(entry["run_id"], entry["weight"]) for entry in record.training["members"]],
                record.training.get("stacker"),
                record.run_id,
            )
        )
        tested.append((store.predictions(record).outputs.tobytes(), record.metrics["accuracy"]))
    assert chosen[0] == chosen[1]
    # What it answers is the same, and what it is worth is not.
    assert tested[0][0] == tested[1][0]
    assert tested[0][1] > tested[1][1] + 0.1


@pytest.mark.parametrize("options", [{}, {"top_k": "best"}, {"selection": "greedy"}, {"selection": "stack"}], ids=str)
def test_no_test_prediction_is_opened_before_the_choice_is_made(store, monkeypatch, options):
    events = []
    real_load, real_choose = Store.predictions, part_module.choose
    monkeypatch.setattr(
        Store, "predictions", lambda self, record, split="test": events.append(split) or real_load(self, record, split)
    )
    monkeypatch.setattr(part_module, "choose", lambda *args: [real_choose(*args), events.append("chosen")][0])
    build_ensemble(store, PROTOCOL, **options)
    assert "test" not in events[: events.index("chosen")]
    assert "test" in events


def other(split, change):
    splits = {name: predictions(9, name) for name in SIZES}
    splits[split] = change(splits[split])
    return {"splits": splits}


REFUSED = {
    "validation_missing": ({"splits": {"test": predictions(9)}}, r"net9/r9-s9 has no validation predictions"),
    "test_ids": (
        other("test", lambda p: Predictions(np.char.add(p.ids, "x"), p.targets, p.outputs)),
        r"net9/r9-s9: 420 test ids are not both",
    ),
    "fewer_samples": (other("test", lambda p: p.select(np.arange(200))), r"net9/r9-s9: 10 test ids"),
    "validation_ids": (
        other("validation", lambda p: Predictions(np.char.add(p.ids, "x"), p.targets, p.outputs)),
        r"net9/r9-s9: 280 validation ids",
    ),
    "targets": (
        other("test", lambda p: Predictions(p.ids, (p.targets + (np.arange(len(p)) == 3)) % 7, p.outputs)),
        r"net9/r9-s9: the target of test sample 't0003'",
    ),
    "checksums": (
        {"data": {"checksums": CHECKSUMS | {"test": "d" * 8}}},
        r"net9/r9-s9 was made on another copy of the data than .* \(checksums of test differ\)",
    ),
    "version": ({"protocol_version": 2}, r"net9/r9-s9 is of the protocol's version 2"),
    "status": ({"status": "nan"}, r"net9/r9-s9 has the status nan"),
    "task": ({"task": "fer8"}, r"net9/r9-s9 has the label set fer8"),
    "person": ({"kind": "human"}, r"net9/r9-s9 is a person"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_members_that_do_not_belong_together_are_refused_by_name(store, case):
    fields, message = REFUSED[case]
    store.put(*member(9, **fields))
    with pytest.raises(RecordError, match=message) as error:
        build_ensemble(store, PROTOCOL, ["r0-s0", "r1-s1", "r9-s9"])
    assert error.value.hint
    assert not (store.results / PROTOCOL.name / "ensemble").exists()


def test_other_classes_are_refused_by_name(store):
    wide = predictions(9, "validation", n_classes=8)
    good = predictions(9, "validation")
    made, splits = member(9)
    store.put(made, splits | {"validation": Predictions(good.ids, good.targets, wide.outputs)})
    with pytest.raises(RecordError, match=r"net9/r9-s9: validation outputs of shape \(140, 8\) have other classes"):
        build_ensemble(store, PROTOCOL, ["r0-s0", "r9-s9"])


def test_logits_and_damaged_files_are_refused_by_name(store):
    made, splits = member(9)
    good = splits["validation"]
    store.put(made, splits | {"validation": Predictions(good.ids, good.targets, np.log(good.outputs))})
    with pytest.raises(RecordError, match="net9/r9-s9: row 0 of its outputs is not a probability"):
        build_ensemble(store, PROTOCOL, ["r0-s0", "r9-s9"])
    (store.folder(made) / "r9-s9.validation.npz").write_bytes(b"no")
    with pytest.raises(RecordError, match=r"member net9/r9-s9: .* not the one that its record names"):
        build_ensemble(store, PROTOCOL, ["r0-s0", "r9-s9"])


def test_options_that_make_no_sense(store):
    cases = [
        ({"rule": "mean"}, "unknown rule 'mean'.*Known for classes: majority, weighted, soft"),
        ({"order": "train"}, "unknown order"),
        ({"selection": "best"}, "unknown selection"),
        ({"selection": "greedy", "rule": "majority"}, "works on probabilities"),
        ({"bags": 3}, "belong to the greedy selection"),
        ({"top_k": 1}, "at least two"),
        ({"top_k": 6}, "there are 5 members"),
        ({"members": ["r0-s0"]}, "at least two members, toy-fer7 has 1"),
        ({"members": ["r0-s0", "r0-s0"]}, "net0/r0-s0 is named twice"),
        ({"pool": Pool(models=("net0",))}, "has 1 that fit"),
        ({"members": ["r0-s0", "r77"]}, "no record"),
    ]
    for options, message in cases:
        with pytest.raises(FerBenchError, match=message):
            build_ensemble(store, PROTOCOL, **options)
    with pytest.raises(SpecError, match="ranked by sagr, by which members cannot be chosen"):
        build_ensemble(store, Protocol("toy", TASKS["fer7"].__class__("va", "values", "sagr")))


def test_the_pool_holds_what_can_be_ranked(store):
    store.put(*member(5, recipe="long", spec={"tta": 10, "tta_kind": "flip"}))
    store.put(*member(6, kind="human"))
    store.put(*member(7, status="nan"))
    store.put(*member(8, protocol_version=2))
    build_ensemble(store, PROTOCOL)
    names = [record.run_id for record in find_members(store, PROTOCOL)]
    assert names == [f"r{i}-s{i}" for i in range(6)]
    assert [r.run_id for r in find_members(store, PROTOCOL, pool=Pool(tta=False))] == names[:5]
    assert [r.run_id for r in find_members(store, PROTOCOL, pool=Pool(seeds=(1, 2)))] == names[1:3]
    assert [
        r.run_id for r in find_members(store, PROTOCOL, pool=Pool(models=("net5", "net1"), recipes=("", "long")))
    ] == ["r1-s1", "r5-s5"]
    for i, accelerator in ((2, "cpu"), (3, "mps"), (4, "cuda")):
        store.put(*member(i, hardware={"accelerator": accelerator}))
    assert [r.run_id for r in find_members(store, PROTOCOL, pool=Pool(accelerators=("cuda", "mps")))] == names[3:5]
    pinned = Protocol("toy", TASKS["fer7"], checksums=CHECKSUMS)
    store.put(*member(9, data={"checksums": CHECKSUMS | {"train": "z" * 8}}))
    # Others than these were trained on other images: with a declared copy or without, they are no members.
    assert [r.run_id for r in find_members(store, pinned)] == names


def test_members_in_another_order_of_samples_are_aligned(store):
    made, splits = member(2, 0.8 + 0.15 * 2)
    order = np.random.default_rng(0).permutation(SIZES["test"])
    expected = build_ensemble(store, PROTOCOL)
    kept = store.predictions(expected)
    store.put(made, splits | {"test": splits["test"].select(order)})
    again = build_ensemble(store, PROTOCOL)
    np.testing.assert_array_equal(store.predictions(again).outputs, kept.outputs)
    assert store.predictions(again).ids.tolist() == kept.ids.tolist()


def test_members_without_an_answer_abstain_and_flags_and_groups_stay(store):
    for seed in range(3):
        _, splits = member(seed)
        changed = {}
        for split, p in splits.items():
            outputs = p.outputs.copy()
            outputs[: 10 if seed else 4] = np.nan
            flags = {"duplicate": np.arange(len(p)) < 20} if split == "test" else {}
            changed[split] = Predictions(p.ids, p.targets, outputs, flags, p.ids if split == "test" else None)
        store.put(*member(seed, splits=changed))
    record = build_ensemble(store, PROTOCOL, ["r0-s0", "r1-s1", "r2-s2"], rule="majority")
    stored = store.predictions(record)
    assert np.isnan(stored.outputs).all(axis=1).sum() == 4
    assert record.metrics["n_unanswered"] == 4
    assert record.metrics["clean"]["n"] == SIZES["test"] - 20
    assert stored.groups is not None
    assert verify(store).differences == ()


def test_caveats_of_members_are_inherited(store):
    store.put(*member(0, caveats=["leaky"]))
    assert build_ensemble(store, PROTOCOL).caveats == ["leaky"]


def test_an_ensemble_that_does_not_follow_from_its_members_is_found(store):
    record = build_ensemble(store, PROTOCOL, rule="weighted")
    kept = {split: store.predictions(record, split) for split in SIZES}
    swapped = Predictions(kept["test"].ids, kept["test"].targets, np.roll(kept["test"].outputs, 1, axis=1))
    store.put(record.model_copy(update={"metrics": score(PROTOCOL, swapped)}), kept | {"test": swapped})
    assert recompute_from_members(store, store.get(record.run_id)) == [
        f"test: {SIZES['test']} of {SIZES['test']} rows do not follow from the members"
    ]
    heavier = [entry | {"weight": 1.0} for entry in record.training["members"]]
    store.put(record.model_copy(update={"training": record.training | {"members": heavier}}), kept)
    assert any("weights" in text for text in recompute_from_members(store, store.get(record.run_id)))
    record = build_ensemble(store, PROTOCOL, rule="weighted")
    store.put(*member(1, 3.0))
    differences = recompute_from_members(store, record)
    assert "member net1/r1-s1: its test predictions are not those that the ensemble was built from" in differences
    for path in store.folder(store.get("r1-s1")).iterdir():
        path.unlink()
    with pytest.raises(RecordError, match="net1/r1-s1 is not in the store"):
        recompute_from_members(store, record)
    with pytest.raises(RecordError, match="not of an ensemble"):
        recompute_from_members(store, store.get("r0-s0"))
