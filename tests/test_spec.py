from __future__ import annotations

import json
import subprocess
import sys

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_bench import paths, yaml_lines
from fer_bench import spec as specs
from fer_bench.assignments import parse_assignments
from fer_bench.errors import SpecError
from fer_bench.layering import layered, merge
from fer_bench.spec import NO_SETTINGS, Execution, RunSpec


@pytest.fixture
def benchmarks(tmp_path, monkeypatch):
    folder = tmp_path / "benchmarks"
    (folder / "datasets").mkdir(parents=True)
    (folder / "models").mkdir()
    (folder / "defaults.yaml").write_text(
        "dataset: synthfaces\nmodel: five_layer_cnn\nepochs: 9\naugment: standard\naugment_options: {rotate: 5}\n"
    )
    monkeypatch.setenv("FER_BENCH_HOME", str(tmp_path))
    return folder


def test_layers_lie_over_each_other_flags_on_top(benchmarks):
    (benchmarks / "datasets" / "ferplus.yaml").write_text("task: fer8\nepochs: 10\nlr: 0.5\n")
    (benchmarks / "models" / "resnet18.yaml").write_text("epochs: 11\nlr: 0.25\ndatasets: {ferplus: {epochs: 12}}\n")
    build = lambda **flags: specs.build(layered(flags))  # noqa: E731
    assert build().epochs == 9
    assert (build(dataset="ferplus").task, build(dataset="ferplus").epochs) == ("fer8", 10)
    assert build(model="resnet18").epochs == 11
    both = build(dataset="ferplus", model="resnet18")
    assert (both.epochs, both.lr) == (12, 0.25)
    assert build(dataset="ferplus", model="resnet18", epochs=13).epochs == 13
    assert build(dataset="ferplus", epochs=None).epochs == 10


def test_folder_datasets_share_one_file_and_timm_names_become_file_names(benchmarks):
    (benchmarks / "datasets" / "folder.yaml").write_text("epochs: 3\n")
    (benchmarks / "models" / "timm_convnext_tiny.yaml").write_text("lr: 0.125\n")
    spec = specs.build(layered({"dataset": "folder:mine", "model": "timm:convnext_tiny"}))
    assert (spec.epochs, spec.lr, spec.protocol) == (3, 0.125, "mine-fer7")


def test_options_are_merged_key_by_key_unless_their_owner_changes(benchmarks):
    assert layered({"augment_options": {"flip": 1}})["augment_options"] == {"rotate": 5, "flip": 1}
    assert layered({"augment": "flip"})["augment_options"] == {}
    assert layered({"augment": "standard"})["augment_options"] == {"rotate": 5}
    assert layered({"augment": "flip", "augment_options": {"flip": 1}})["augment_options"] == {"flip": 1}


def test_shipped_settings_are_valid():
    # Without a folder of its own, the package's settings count.
    for dataset in ("synthfaces", "fer2013", "ferplus", "folder:mine"):
        for model in ("five_layer_cnn", "resnet18"):
            specs.build(layered({"dataset": dataset, "model": model}))


@pytest.mark.parametrize(
    ("settings_", "expected"),
    [
        ({"epoch": 3}, "unknown setting 'epoch'. Did you mean 'epochs'"),
        ({"epochs": 0}, "epochs = 0: input should be greater than 0"),
        ({"epochs": -1}, "epochs = -1"),
        ({"epochs": 2.5}, "epochs = 2.5"),
        ({"lr": -0.1}, "lr = -0.1"),
        ({"lr": 0}, "lr = 0"),
        ({"lr": float("nan")}, "lr = nan"),
        ({"lr": float("inf")}, "lr = inf"),
        ({"lr": "fast"}, "lr = 'fast'"),
        ({"batch_size": 1}, "batch_size = 1"),
        ({"seed": -1}, "seed = -1"),
        ({"label_smoothing": 1}, "label_smoothing = 1"),
        ({"target_mode": "soft"}, "target_mode = 'soft': input should be 'hard', 'probability'"),
        ({"precision": "64"}, "precision = '64'"),
        ({"freeze": "foo"}, "freeze = 'foo': expected none, backbone or a number of stages from 1 to 99"),
        ({"snapshot": "epoch_0"}, "snapshot = 'epoch_0': expected best, last or an epoch such as epoch_10"),
        ({"recipe": "two\n"}, "expected one line"),
        ({"execution": {"wandb_tags": ["a,b"]}}, "expected a word or more, without commas"),
        ({"execution": {"worker": 1}}, "Did you mean 'workers'"),
        ({"execution": {"devices": 0}}, "execution.devices = 0"),
        ({"execution": 3}, "execution = 3"),
        ({"augment_options": 3}, "augment_options = 3"),
        ({"augment_options": {"rotate": float("nan")}}, "augment_options.rotate"),
        ({"augment_options": {"rotate": {"a": 1}}}, "augment_options.rotate"),
        ({"dataset": None}, "dataset = None"),
        ({"recipe": "two\nlines"}, "recipe"),
        ({"model": "x" * 5000}, "model"),
    ],
)
def test_a_bad_setting_is_one_line_that_names_key_and_value(settings_, expected):
    with pytest.raises(SpecError) as error:
        specs.build(settings_, "the command line")
    text = str(error.value)
    assert text.startswith("the command line: ")
    assert expected in text
    assert "\n" not in text
    assert len(text) < 500


def test_unknown_setting_without_a_near_one_points_to_something_that_exists():
    with pytest.raises(SpecError) as error:
        specs.build({"zzzzzz": 1})
    assert "fer-bench list settings" not in str(error.value)
    assert "epochs" in str(error.value)


def test_how_a_run_is_carried_out_and_called_changes_no_identity():
    plain = RunSpec()
    other = RunSpec(recipe="mine", trials=12, execution=Execution(accelerator="cpu", workers=3, data_dir="/somewhere"))
    assert other.digest() == plain.digest()
    assert RunSpec(seed=4).digest() == plain.digest()
    assert RunSpec(seed=4).run_id() == f"{plain.digest()}-s4"


@pytest.mark.parametrize("name", sorted(set(RunSpec.model_fields) - NO_SETTINGS))
def test_every_other_field_is_part_of_the_identity(name):
    others = {
        "dataset_options": {"a": 1},
        "model_options": {"a": 1},
        "optimizer_options": {"a": 1},
        "schedule_options": {"a": 1},
        "loss_options": {"a": 1},
        "augment_options": {"a": 1},
        "normalization": "unit",
        "aspect": "keep",
        "target_mode": "probability",
        "class_weights": "balanced",
        "precision": "32-true",
        "tta_kind": "flip",
        "image_size": 64,
        "epochs": 7,
        "batch_size": 7,
        "lr": 0.5,
        "weight_decay": 0.5,
        "label_smoothing": 0.5,
        "early_stopping": 3,
        "gradient_clip": 1.0,
        "ema": 0.5,
        "tta": 3,
        "method": "multitask",
        "method_options": {"a": 1},
        "snapshot": "last",
        "steps_per_epoch": 8,
        "stopper": "findingemo",
        "progressive_from": 32,
        "progressive_step": 8,
        "augment_on": "device",
        "mixup": 0.2,
        "cutmix": 1.0,
        "mix_probability": 0.5,
        "mix_until": 0.5,
        "dropout_schedule": "late",
        "value_scale": "dataset",
        "temporal": "gru",
        "temporal_options": {"width": 32},
        "freeze": "backbone",
        "unfreeze_every": 3,
        "backbone_lr": 0.5,
        "layer_decay": 0.5,
    }
    assert RunSpec(**{name: others.get(name, "another")}).digest() != RunSpec().digest()


def test_known_digests_stay_for_ever():
    # Records are named by them.
    assert RunSpec().digest() == hashlib_of({})
    assert RunSpec(epochs=5, lr=0.1, augment_options={"rotate": 10}).digest() == hashlib_of(
        {"epochs": 5, "lr": 0.1, "augment_options": {"rotate": 10}}
    )
    assert RunSpec(epochs=30, lr=1e-3).digest() == RunSpec().digest()


def hashlib_of(identity):
    import hashlib

    return hashlib.sha256(json.dumps(identity, sort_keys=True, separators=(",", ":")).encode()).hexdigest()[:10]


def test_runs_that_are_only_tested_otherwise_share_a_training():
    assert RunSpec(tta=10, tta_kind="flip").training_id() == RunSpec().run_id()
    assert RunSpec(tta=10).run_id() != RunSpec().run_id()
    assert RunSpec(lr=0.5).training_id() != RunSpec().training_id()


def test_a_spec_survives_json():
    spec = RunSpec(
        dataset="folder:x",
        augment_options={"rotate": 10, "flip": 0.5, "names": ["a", None, True]},
        image_size=64,
        execution=Execution(devices=2),
    )
    again = RunSpec.model_validate_json(spec.model_dump_json())
    assert again == spec
    assert again.digest() == spec.digest()


def test_frozen():
    with pytest.raises(Exception, match="frozen"):
        RunSpec().epochs = 3


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["lr=1e-3"], {"lr": 0.001}),
        (["lr=0.5", "lr=0.25"], {"lr": 0.25}),
        (["recipe="], {"recipe": None}),
        (["augment_options.rotate=10", "augment_options.flip=true"], {"augment_options": {"rotate": 10, "flip": True}}),
        (["augment_options={rotate: 3}", "augment_options.flip=1"], {"augment_options": {"rotate": 3, "flip": 1}}),
        (["recipe=a=b"], {"recipe": "a=b"}),
        (["recipe='1e3'"], {"recipe": "1e3"}),
        (["model=timm:convnext_tiny"], {"model": "timm:convnext_tiny"}),
    ],
)
def test_assignments(texts, expected):
    assert parse_assignments(texts) == expected


@pytest.mark.parametrize(
    "texts",
    [
        ["lr"],
        ["=3"],
        [""],
        ["lr=[1"],
        ["lr={a"],
        ["augment_options.=3"],
        [".lr=3"],
        ["augment_options=3", "augment_options.rotate=3"],
        ["lr=&a *b"],
    ],
)
def test_bad_assignments_are_quoted(texts):
    with pytest.raises(SpecError) as error:
        parse_assignments(texts)
    assert error.value.problem.startswith("--set ")
    assert "\n" not in str(error.value)
    assert error.value.hint


@settings(max_examples=150, deadline=None)
@given(st.lists(st.text(st.characters(codec="ascii", categories=("L", "N", "P", "S", "Zs")), max_size=20), max_size=3))
def test_no_assignment_whatever_ends_in_anything_but_a_spec_error(texts):
    try:
        specs.build(merge(layered({}), parse_assignments(texts)), "the command line")
    except SpecError as error:
        assert "\n" not in str(error)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("a: [1\nb: 2\n", r"x\.yaml, line [12]: not valid YAML"),
        ("- 1\n- 2\n", r"expected a mapping of settings, found a list"),
        ("hello", "found a str"),
        ("a: 1\n\tb: 2\n", "line 2: not valid YAML"),
        (b"\xff\xfe\x00a", "cannot be read|not valid YAML"),
        ("a: !!python/object/apply:os.getcwd []", "not valid YAML"),
        ("a: &x [*x]", "nested too deeply"),
        ("a: 1\nb: {c: 1, c: 2}\n", r"line 2: key 'c' is given twice \(first on line 2\)"),
    ],
)
def test_bad_yaml_is_named_with_its_line(tmp_path, content, expected):
    path = tmp_path / "x.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(SpecError, match=expected) as error:
        specs.read_yaml(path)
    assert str(path) in error.value.problem
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "text",
    [
        "a: b\tc\n",
        "a: [b?, c]\n",
        "a: |#\n",
        "a: !\n",
        "a: [" + "[" * 300,
        "a: 'b\n",
        "a: {b: 1, b: 2}\n",
        "a: [1, 0x1, 1_0]\n",
    ],
)
def test_what_is_read_and_refused_does_not_depend_on_libyaml(tmp_path, monkeypatch, text):
    path, found = tmp_path / "x.yaml", []
    path.write_text(text)
    for reader in (yaml_lines.FASTEST, yaml.SafeLoader):
        monkeypatch.setattr(yaml_lines, "FASTEST", reader)
        try:
            found.append(yaml_lines.read_yaml(path))
        except SpecError as error:
            found.append(str(error))
    assert found[0] == found[1]


def test_empty_and_missing_yaml(tmp_path):
    (tmp_path / "x.yaml").write_text("# nothing\n")
    assert specs.read_yaml(tmp_path / "x.yaml") == {}
    with pytest.raises(SpecError, match="there is no file"):
        specs.read_yaml(tmp_path / "y.yaml")


@pytest.mark.parametrize("content", ["datasets: 3\n", "datasets: {synthfaces: 3}\n", "datasets: [synthfaces]\n"])
def test_a_models_file_with_a_bad_section_is_named(benchmarks, content):
    path = benchmarks / "models" / "five_layer_cnn.yaml"
    path.write_text(content)
    with pytest.raises(SpecError) as error:
        layered({})
    assert str(path) in error.value.problem


def test_each_folder_can_be_moved(tmp_path, monkeypatch):
    for variable, function in {
        "CACHE": paths.cache_dir,
        "RUNS": paths.runs_dir,
        "LEADERBOARDS": paths.leaderboards_dir,
        "DATA": paths.data_root,
    }.items():
        monkeypatch.setenv(f"FER_BENCH_{variable}", str(tmp_path / variable))
        assert function() == tmp_path / variable
        monkeypatch.setenv(f"FER_BENCH_{variable}", "~/x")
        assert "~" not in str(function())
        monkeypatch.delenv(f"FER_BENCH_{variable}")
    monkeypatch.setenv("FER_BENCH_HOME", str(tmp_path))
    assert paths.leaderboards_dir() == tmp_path / "leaderboards"
    assert paths.data_root() == tmp_path / "data"
    assert paths.data_root(str(tmp_path / "given")) == tmp_path / "given"
    # No settings of its own: those of the package count.
    assert (paths.benchmarks_dir() / "defaults.yaml").is_file()


def test_the_home_folder_of_nobody_is_named(tmp_path, monkeypatch):
    nobody = "~nobody-of-this-name/x"
    for named in ({"weights": f"{nobody}.pth"}, {"dataset": f"table:{nobody}.csv"}):
        with pytest.raises(SpecError, match="there is no home folder of '~nobody-of-this-name'"):
            specs.build(named)
    with pytest.raises(SpecError, match="Write the whole path"):
        paths.data_root(nobody)
    monkeypatch.setenv("FER_BENCH_HOME", nobody)
    with pytest.raises(SpecError, match=nobody):
        paths.project_root()
    # A file may begin with that sign.
    monkeypatch.chdir(tmp_path)
    (tmp_path / "~kept.pth").write_bytes(b"x")
    assert paths.expanded("~kept.pth").is_file()


def test_the_project_is_found_from_a_folder_inside_it(benchmarks, monkeypatch):
    monkeypatch.delenv("FER_BENCH_HOME")
    inner = benchmarks.parent / "a" / "b"
    inner.mkdir(parents=True)
    monkeypatch.chdir(inner)
    assert paths.project_root() == benchmarks.parent


def test_torch_free_rooms_import_no_torch():
    rooms = (
        "spec, protocols, predictions, registry, labels, paths, results.store, scoring.score, leaderboard.render,"
        " sweeps.suite, cli.main"
    )
    lines = "; ".join(f"import fer_bench.{room}" for room in rooms.split(", "))
    code = (
        f"import sys; {lines}; heavy = {{'torch', 'lightning', 'cv2', 'albumentations', 'timm'}} & set(sys.modules);"
        " sys.exit(str(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
