"""A grid end to end on drawn scenes: records, verification, leaderboard, fusion, command line."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import fer_bench.probes.grid as grid_module
import fer_bench.probes.streams as streams_module
from fer_bench.cli.main import app
from fer_bench.errors import RecordError, SpecError, UnknownNameError
from fer_bench.leaderboard.markdown import board_markdown
from fer_bench.leaderboard.rank import rank
from fer_bench.leaderboard.render import render
from fer_bench.leaderboard.verify import verify
from fer_bench.predictions import Predictions
from fer_bench.probes.backbones import Backbone
from fer_bench.probes.grid import run_grid
from fer_bench.probes.grid_choice import choose, table
from fer_bench.probes.settings import build_probe
from fer_bench.probes.streams import Stream, fuse, pool_faces
from fer_bench.protocols import protocol_for
from fer_bench.results.grids import StackedPredictions, load_grid
from fer_bench.results.record import Record
from fer_bench.results.store import Store
from fer_bench.scoring.score import score
from fer_bench.sweeps.suite import read
from tests.probes.coarse import build
from tests.probes.coarse import small_backbones as small_backbones
from tests.probes.coarse import store as store

OPTIONS = {"n_train": 40, "n_validation": 16, "n_test": 20, "width": 96, "height": 72}
GRID = {
    "dataset_options": OPTIONS,
    "lr": (0.1, 0.01),
    "seeds": (0, 1),
    "max_epochs": 6,
    "patience": 2,
    "standardise": True,
}


def probe(**over):
    return build_probe({"streams": ("features:resnet18",), **GRID, **over})


def test_a_grid_is_recorded_verified_and_ranked(store):
    records = run_grid(probe(), store)
    assert len(records) == 2 * 2 * 2
    assert len({record.row for record in records}) == 4
    assert list(store.records()) == records
    assert store.files() == []
    report = verify(store)
    assert (report.n_verified, report.ok) == (8, True)

    one = records[3]
    assert (one.kind, one.seed, one.spec["loss"], one.spec["lr"]) == ("probe", 1, "unbalanced_cross_entropy", 0.1)
    assert one.parameters["trainable"] == 13 * 8
    test = store.predictions(one)
    assert score(protocol_for("synthscenes", "emo8"), test) == one.metrics
    assert store.get(one.run_id) == one
    assert store.get(f"synthscenes-emo8/resnet18/{one.run_id}") == one

    ranked = {record.row: record for record in records if record.ranked}
    assert 1 <= len(ranked) <= 2
    best = max(table(records, "weighted_f1"), key=lambda line: line.validation)
    chosen = next(record for record in ranked.values() if "chosen on validation" in record.recipe)
    assert (chosen.spec["lr"], chosen.spec["loss"]) == (best.value, best.loss)
    assert chosen.caveats == []
    assert all(
        record.caveats == ["selected on test"] for record in ranked.values() if "chosen on test" in record.recipe
    )
    # The protocol's own test set is larger: there these rows are not ranked.
    assert "scored 20 samples, the protocol has 400" in render(store)[store.root / "synthscenes-emo8.md"]
    board = rank(replace(protocol_for("synthscenes", "emo8"), n_test=20), store.records(), store.predictions)
    assert sorted(placed.row.key for placed in board.placed) == sorted(ranked)
    assert all(len(placed.row.records) == 2 for placed in board.placed)
    page = board_markdown(board, [])
    assert page.partition("<details>")[0].count('"resnet18 (linear probe, chosen on validation') == 1
    assert f"](results/synthscenes-emo8/resnet18/{store.grids()[0].name}" in page
    assert "\u00a0[(2)](results/synthscenes-emo8/resnet18)" in page


def test_what_was_run_is_not_run_again(store):
    first = run_grid(probe(), store)
    content = store.grids()[0].read_bytes()
    assert run_grid(probe(recipe="other name"), store) == first
    assert store.grids()[0].read_bytes() == content
    assert run_grid(probe(batch_size=32), store)[0].row != first[0].row
    assert len(store.grids()) == 2


def test_the_file_is_compact_and_damage_is_named(store):
    records = run_grid(probe(), store)
    (path,) = store.grids()
    content = json.loads(path.read_text())
    assert {"data", "code", "hardware", "protocol", "kind"} <= set(content["shared"])
    assert not {"data", "code"} & set(content["records"][0])
    assert load_grid(path) == records
    content["records"][0]["metrics"]["accuracy"] = 0.99
    path.write_text(json.dumps(content))
    report = verify(store)
    assert [d.key for d in report.differences] == ["metrics.accuracy"]
    assert records[0].run_id in str(report.differences[0].file)
    content["records"].append(content["records"][0])
    path.write_text(json.dumps(content))
    with pytest.raises(RecordError, match="twice"):
        list(store.records())
    path.write_text("{")
    with pytest.raises(RecordError, match="damaged grid"):
        list(store.records())
    assert not verify(store).ok


def test_altered_predictions_are_found(store):
    record = run_grid(probe(lr=(0.1,), loss=("cross_entropy",)), store)[0]
    (path,) = store.folder(record).glob("*.test.npz")
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(RecordError, match="SHA-256"):
        Store(store.root).predictions(record)
    assert len(verify(Store(store.root)).differences) == 2


def test_stacked_predictions_survive_the_file(tmp_path):
    outputs = np.random.default_rng(0).dirichlet(np.ones(3), size=(4, 5)).astype(np.float16)
    common = Predictions(
        np.array(list("abcde")),
        np.arange(5) % 3,
        np.zeros((5, 1), dtype=np.float32),
        {"duplicate": np.arange(5) > 3},
        np.array(list("ppqqq")),
    )
    stacked = StackedPredictions(common, outputs)
    (tmp_path / "x.npz").write_bytes(stacked.to_bytes())
    import hashlib

    again = StackedPredictions.load(tmp_path / "x.npz", hashlib.sha256(stacked.to_bytes()).hexdigest())
    one = again.of(2)
    assert np.array_equal(one.outputs, outputs[2].astype(np.float32))
    assert one.ids.tolist() == list("abcde")
    assert one.flags["duplicate"].tolist() == [False, False, False, False, True]
    assert one.groups.tolist() == list("ppqqq")
    with pytest.raises(RecordError, match="no head 4"):
        again.of(4)


def head_record(row, seed, validation, test, **over):
    content = {
        "run_id": f"{row}-s{seed}",
        "row": row,
        "kind": "probe",
        "protocol": "synthscenes-emo8",
        "task": "emo8",
        "dataset": "synthscenes",
        "model": "m",
    }
    return Record(
        **content, seed=seed, metrics={"weighted_f1": test}, validation_metrics={"weighted_f1": validation}, **over
    )


def test_rows_are_chosen_by_their_mean_and_the_testers_carry_a_caveat():
    protocol = protocol_for("synthscenes", "emo8")
    records = [
        head_record("a", 0, 0.9, 0.2), head_record("a", 1, 0.3, 0.2),
        head_record("b", 0, 0.5, 0.1), head_record("b", 1, 0.8, 0.1),
        head_record("c", 0, 0.1, 0.9), head_record("c", 1, 0.1, 0.3),
    ]  # fmt: skip
    found = {record.row: record for record in choose(records, protocol, "probe")}
    assert (found["b"].ranked, found["b"].recipe, found["b"].caveats) == (True, "probe, chosen on validation", [])
    assert (found["c"].ranked, found["c"].recipe, found["c"].caveats) == (
        True,
        "probe, chosen on test",
        ["selected on test"],
    )
    assert not found["a"].ranked
    both = {record.row: record for record in choose(records[2:4], protocol, "probe")}
    assert both["b"].recipe == "probe, chosen on validation, also best on test"
    assert both["b"].caveats == []
    broken = [
        record.model_copy(update={"status": "nan", "metrics": {}, "validation_metrics": {}}) for record in records[:2]
    ]
    found = choose([*broken, *records[2:]], protocol, "probe")
    assert [record.ranked for record in found] == [False, False, True, True, True, True]
    assert all(record.ranked for record in choose(broken, protocol, "probe"))


def test_fusion_of_all_kinds_of_streams(store):
    settings = probe(
        streams=("features:resnet18", "predictions:resnet18-places365", "emo8:resnet18", "faces:run:abc"),
        loss=("cross_entropy",),
    )
    assert settings.model == "resnet18+resnet18-places365-predictions+resnet18-emo8+faces"
    records = run_grid(settings, store)
    assert records[0].spec["width"] == 12 + 7 + 8 + 14
    assert records[0].recipe.startswith("late fusion")
    assert any("n_without_face" in note for note in records[0].notes)
    assert verify(store).ok


def test_faces_are_pooled_per_image():
    probabilities = np.array([[1, 0], [0, 1], [0.5, 0.5]], dtype=np.float32)
    pooled = pool_faces(probabilities, np.array([0, 0, 2]), 3)
    np.testing.assert_allclose(pooled, [[0.5, 0.5, 0.5, 0.5], [0, 0, 0, 0], [0.5, 0.5, 0, 0]])


def test_streams_are_standardised_on_train_only():
    generator = np.random.default_rng(0)
    first, second = generator.normal(5, 3, size=(30, 4)), np.ones((30, 2))
    at = {"train": np.arange(20), "test": np.arange(20, 30)}
    fused, scaling = fuse([Stream("a", first, "", 0), Stream("b", second, "", 0)], at, standardise=True)
    np.testing.assert_allclose(scaling.mean[:4], first[:20].mean(0), rtol=1e-5)
    np.testing.assert_allclose(fused["train"][:, :4].mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(fused["train"][:, :4].std(0), 1, atol=1e-5)
    np.testing.assert_allclose(
        fused["test"][:, :4], (first[20:] - first[:20].mean(0)) / first[:20].std(0), rtol=1e-4, atol=1e-5
    )
    assert (fused["test"][:, 4:] == 0).all()
    plain, _ = fuse([Stream("a", first, "", 0), Stream("b", second, "", 0)], at, standardise=False)
    np.testing.assert_allclose(plain["test"], np.concatenate([first, second], 1)[20:], rtol=1e-6)


def test_wrong_streams_and_settings_are_refused_before_anything_is_read(store):
    with pytest.raises(UnknownNameError, match="features"):
        run_grid(probe(streams=("feature:resnet18",)), store)
    with pytest.raises(SpecError, match="lacks a name"):
        run_grid(probe(streams=("faces:",)), store)
    with pytest.raises(SpecError, match="none twice"):
        probe(seeds=(1, 1))
    with pytest.raises(UnknownNameError, match="cross_entropy"):
        run_grid(probe(loss=("cross_entropi",)), store)
    with pytest.raises(SpecError, match="'patience'"):
        build_probe({"streams": ["features:x"], "patiense": 3})


@pytest.mark.parametrize(
    ("suite", "n"),
    [("findingemo_baselines", 42), ("findingemo_fusion", 156), ("synthscenes", 6), ("synthscenes_fusion", 15)],
)
def test_the_suites_are_read(suite, n):
    grids = read(Path(suite)).grids
    assert len(grids) == n
    assert len({(grid.model, grid.protocol, grid.streams) for grid in grids}) == n
    assert all("{" not in stream for grid in grids for stream in grid.streams)


def test_the_command_line(store, tmp_path):
    suite = tmp_path / "s.yaml"
    options = "{n_train: 40, n_validation: 16, n_test: 20, width: 96, height: 72}"
    suite.write_text(
        f"probes:\n  - {{streams: ['features:resnet18'], dataset_options: {options}, lr: [0.01], seeds: [0, 1],"
        " max_epochs: 2}\n"
    )
    found = CliRunner().invoke(app, ["probe", str(suite), "--accelerator", "cpu"])
    assert found.exit_code == 0, found.output
    assert "over 2 seeds" in found.output
    assert (store.root / "synthscenes-emo8.md").is_file()
    found = CliRunner().invoke(app, ["fuse", "features:vgg16", "faces:run:x", "--dry-run"])
    assert "vgg16+faces  40 heads" in found.output


def test_a_backbone_that_cannot_take_the_images_is_one_line(store, monkeypatch):
    from torch import nn

    broken = Backbone("resnet18", nn.Sequential(nn.Conv2d(1, 2, 99)), "digest", "features", 1)
    monkeypatch.setattr(streams_module, "build_backbone", lambda *_, **__: broken)
    monkeypatch.setattr(grid_module, "read_streams", lambda *_: pytest.fail("features were computed"))
    with pytest.raises(SpecError, match="'resnet18' fails on an image of"):
        run_grid(probe(), store)


def test_other_weights_under_the_same_name_are_another_grid(store, monkeypatch):
    def other(name, **options):
        return replace(build(name, **options), digest="another")

    first = run_grid(probe(), store)
    monkeypatch.setattr(streams_module, "build_backbone", other)
    second = run_grid(probe(), store)
    assert not {record.run_id for record in first} & {record.run_id for record in second}
    assert run_grid(probe(), store) == second
    monkeypatch.setattr(streams_module, "build_backbone", build)
    assert run_grid(probe(), store) == first
    assert len(list(store.records())) == len(first) + len(second)
    # a damaged grid is no done one: it is made again under its own name
    store.grids()[0].with_name(first[0].predictions["test"].file).write_bytes(b"")
    assert [record.run_id for record in run_grid(probe(), store)] == [record.run_id for record in first]
    assert verify(store).ok


def write_folders(root):
    """Class folders with numbers for names, and a table of the same images."""
    from PIL import Image

    rng, rows = np.random.default_rng(0), ["image,label,split"]
    for split, n in (("train", 6), ("validation", 3), ("test", 3)):
        for label in ("1", "2"):
            for i in range(n):
                path = root / split / label / f"{i}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(rng.integers(0, 255, (32, 32), dtype=np.uint8)).save(path)
                rows.append(f"{path.relative_to(root)},{label},{split}")
    (root / "faces.csv").write_text("\n".join(rows) + "\n")


HEADS = [
    "--lr=0.01",
    "--seeds=0",
    "--epochs=1",
    "--accelerator=cpu",
    "--set=dataset_options.classes={1: bored, 2: keen}",
]


@pytest.mark.parametrize(
    "verb", [["probe", "--backbone=resnet18"], ["fuse", "features:resnet18", "predictions:resnet18"]]
)
def test_heads_on_classes_that_users_name(fer_bench, store, tmp_path, verb):
    write_folders(tmp_path / "data" / "mine")
    done = fer_bench(*verb, "--dataset=folder:mine", f"--data-dir={tmp_path / 'data'}", *HEADS)
    assert done.code == 0, done.err
    assert {record.dataset for record in store.records()} == {"folder:mine"}
    assert done.out.startswith("[1/1] mine-classes2_")
    wrong = fer_bench(*verb, "--dataset=folder:mine", "--set=patience=0")
    assert wrong.code == 2
    assert "patience = 0" in wrong.err


@pytest.mark.parametrize(
    "verb", [["probe", "--backbone=resnet18"], ["fuse", "features:resnet18", "predictions:resnet18"]]
)
def test_heads_on_the_table_that_was_named_and_on_no_namesake(fer_bench, store, tmp_path, verb):
    write_folders(tmp_path / "mine")
    write_folders(tmp_path / "data" / "faces")
    (tmp_path / "data" / "faces" / "faces.csv").write_text("image,label,split\ntest/1/0.png,1,test\n")
    done = fer_bench(
        *verb, f"--dataset=table:{tmp_path / 'mine' / 'faces.csv'}", f"--data-dir={tmp_path / 'data'}", *HEADS
    )
    assert done.code == 0, done.err
    records = list(store.records())
    assert {record.dataset for record in records} == {"table:faces"}
    assert records[0].n_scored == 6
    assert str(tmp_path) not in records[0].model_dump_json()
    relative = fer_bench(*verb, "--dataset=table:faces.csv", f"--data-dir={tmp_path / 'mine'}", *HEADS)
    assert relative.code == 0, relative.err


def test_a_fusion_of_one_stream_is_refused(fer_bench):
    done = fer_bench("fuse", "features:resnet18")
    assert done.code == 2
    assert "two streams or more" in done.err
