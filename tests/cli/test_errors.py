"""Whatever a user gets wrong ends in one line that says what, where and what next, exit code 2, and nothing on the
leaderboards."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from fer_bench.labels import FER7
from fer_bench.protocols.dataset import unknown_dataset
from fer_bench.results.record import Record
from fer_bench.results.store import Store
from tests.fakes import (
    Faces,
    make_faces,
    make_votes,
    smooth_images,
    write_class_folders,
    write_csv,
    write_folders,
    write_votes,
)
from tests.forks import COMMAND, run_alone

TINY = (
    "--set",
    "dataset_options.n_train=14",
    "--set",
    "dataset_options.n_validation=7",
    "--set",
    "dataset_options.n_test=7",
    "--set",
    "model_options.width=2",
)


@pytest.fixture
def fails(fer_bench, own_folders):
    def check(*arguments, says=(), code=2):
        done = fer_bench(*arguments)
        assert done.code == code, done.err
        lines = done.err.strip().split("\n")
        assert len(lines) == 1, done.err
        assert lines[0].startswith("fer-bench: ")
        assert "Traceback" not in done.err
        for part in says:
            assert part in lines[0]
        written = [path for path in (own_folders / "leaderboards").rglob("*") if path.is_file()]
        assert not written
        return lines[0]

    return check


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--dataset", "fer2031"), ("unknown dataset 'fer2031'", "Did you mean 'fer2013'")),
        (("--dataset", "folder:../x"), ("../x", "folder:x", "--data-dir")),
        (("--model", "resnext110"), ("unknown model 'resnext110'", "'resnext101'")),
        (("--model", "timm:convnext_tinny"), ("'timm:convnext_tiny'",)),
        (("--task", "fer9"), ("unknown task 'fer9'", "'fer7'")),
        (("--loss", "cross_entropie"), ("unknown loss", "'cross_entropy'")),
        (("--augment", "standart"), ("unknown augmentation 'standart'", "'standard'")),
        (("--set", "optimizer=adamm"), ("unknown optimizer 'adamm'", "'adam'")),
        (("--set", "schedule=cosin"), ("unknown schedule 'cosin'", "'cosine'")),
        (("--set", "epoch=3"), ("unknown setting 'epoch'", "'epochs'")),
        (("--set", "augment_options.rotation=3"), ("augment_options.rotation", "rotate")),
        (("--set", "dataset_options.n_trian=3"), ("'n_trian'", "'n_train'")),
        (("--set", "model_options.depth=3"), ("five_layer_cnn", "depth", "model_options")),
        (("--set", "lr"), ("--set 'lr'", "KEY=VALUE")),
        (("--set", "lr=[1"), ("--set lr", "cannot be read")),
        (("--epochs", "0"), ("epochs = 0", "greater than 0")),
        (("--epochs", "-3"), ("epochs = -3",)),
        (("--epochs", "many"), ("epochs = 'many'", "valid integer")),
        (("--lr", "-0.1"), ("lr = -0.1",)),
        (("--lr", "nan"), ("lr = nan",)),
        (("--batch-size", "1"), ("batch_size = 1",)),
        (("--seed", "-1"), ("seed = -1",)),
        (("--tta", "1000"), ("tta = 1000",)),
        (("--tta-kind", "mirror"), ("tta_kind = 'mirror'", "'flip'")),
        (("--precision", "8"), ("precision = '8'",)),
        (("--accelerator", "tpu"), ("accelerator = 'tpu'", "'cpu'")),
        (("--devices", "0"), ("devices = 0",)),
        (("--weights", "nowhere.pth", *TINY), ("nowhere.pth", "no such file", "imagenet")),
        (("--set", "image_size=8", *TINY), ("image_size = 8", "five_layer_cnn")),
        (("--set", "target_mode=probability", "--task", "fer7", *TINY), ("target_mode = 'probability'", "synthfaces")),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) and value[0].startswith("--") else "",
)
def test_run_with_bad_settings(fails, drawn_cache, arguments, says):
    fails("run", *arguments, says=says)


def test_missing_data_says_where_was_looked_and_how_to_get_it(fails, tmp_path):
    for dataset, name in (("fer2013", "fer2013.csv"), ("ferplus", "fer2013new.csv"), ("folder:mine", "class folders")):
        task = "fer8" if dataset == "ferplus" else "fer7"
        fails(
            "run",
            "--dataset",
            dataset,
            "--task",
            task,
            "--data-dir",
            tmp_path / "none",
            says=(name, str(tmp_path / "none"), "--data-dir"),
        )
    fails("run", "--dataset", "fer2013", says=(str(tmp_path / "data" / "fer2013"), "FER_BENCH_DATA"))


def test_data_of_ones_own_without_the_prefix(fails, tmp_path, monkeypatch):
    monkeypatch.setenv("FER_BENCH_DATA", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine" / "inner").mkdir(parents=True)
    (tmp_path / "labels.csv").touch()
    fails("run", "--dataset", "mine", says=("unknown dataset 'mine'", "is written folder:mine."))
    fails("run", "--dataset", "mine/inner", says=(f"is written folder:inner, with --data-dir {tmp_path / 'mine'}.",))
    fails("run", "--dataset", "labels.csv", says=("is written table:labels.csv.",))
    fails("template", "mine-fer7", says=("is written folder:mine.",))
    assert "written" not in str(unknown_dataset("a" * 300))


def test_data_that_is_wrong_is_named_with_file_and_line(fails, tmp_path):
    faces = make_faces()
    path = write_csv(tmp_path / "a", faces)
    path.write_bytes(path.read_bytes()[:-3000])
    fails("run", "--dataset", "fer2013", "--data-dir", tmp_path / "a", says=(f"{path}, line 71", "truncated", "again"))

    out_of_range = Faces(faces.images, faces.labels.copy(), faces.usage)
    out_of_range.labels[4] = 7
    path = write_csv(tmp_path / "b", out_of_range)
    fails("run", "--dataset", "fer2013", "--data-dir", tmp_path / "b", says=(f"{path}, line 6", "label '7'", "0 to 6"))

    without_disgust = faces.labels != 1
    write_csv(
        tmp_path / "c",
        Faces(faces.images[without_disgust], faces.labels[without_disgust], faces.usage[without_disgust]),
    )
    fails("run", "--dataset", "fer2013", "--data-dir", tmp_path / "c", says=("no image of disgust", "complete copy"))

    write_folders(tmp_path / "d", faces)
    cv2.imwrite(str(tmp_path / "d" / "test" / "sad" / "large.png"), smooth_images(1, side=96)[0])
    fails("run", "--dataset", "fer2013", "--data-dir", tmp_path / "d", says=("large.png", "96 x 96 px, not 48 x 48"))

    path = write_csv(tmp_path / "e", faces)
    votes = write_votes(
        tmp_path / "e", Faces(faces.images[1:], faces.labels[1:], faces.usage[1:]), make_votes(faces)[1:]
    )
    fails(
        "run",
        "--dataset",
        "ferplus",
        "--task",
        "fer8",
        "--data-dir",
        tmp_path / "e",
        says=(str(votes), "69 rows of votes", "70 rows"),
    )


def test_a_folder_dataset_with_an_empty_class_or_many_unreadable_images(fails, fer_bench, tmp_path):
    write_class_folders(tmp_path / "a" / "mine", names=FER7.names[1:])
    fails("run", "--dataset", "folder:mine", "--data-dir", tmp_path / "a", says=("no image of angry",))

    folder = write_class_folders(tmp_path / "b" / "mine", 43)
    images = sorted(folder.rglob("*.png"))
    for path in images[:2]:
        path.write_bytes(b"no picture")
    done = fer_bench("audit", "folder:mine", "--data-dir", tmp_path / "b")
    assert done.code == 0
    assert done.out.count("quarantined: angry/") == 2
    for path in images[2:5]:
        path.write_bytes(b"")
    fails(
        "run",
        "--dataset",
        "folder:mine",
        "--data-dir",
        tmp_path / "b",
        says=("5 of 301 images cannot be read", "angry/0000.png"),
    )


@pytest.mark.skipif("__import__('torch').cuda.is_available()", reason="this machine has a CUDA device")
@pytest.mark.parametrize("accelerator", ["cuda", "gpu"])
def test_an_accelerator_that_is_not_there(fails, accelerator):
    fails(
        "run",
        "--accelerator",
        accelerator,
        says=(f"accelerator = '{accelerator}'", "no CUDA device", "--accelerator cpu"),
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("runs: [", ("line 1", "not valid YAML")),
        ("runs: [{epoch: 3}]", ("line 1, run 1", "'epochs'")),
        ("rnus: []", ("unknown key 'rnus'", "'runs'")),
        ("runs: [{grid: {lr: 3}}]", ("run 1", "'grid'")),
    ],
)
def test_a_bad_suite(fails, tmp_path, text, says):
    (tmp_path / "mine.yaml").write_text(text)
    fails("suite", tmp_path / "mine.yaml", says=(str(tmp_path / "mine.yaml"), *says))


def test_a_suite_that_does_not_exist_and_bad_seeds(fails, tmp_path):
    fails("suite", tmp_path / "none.yaml", says=("unknown suite",))
    (tmp_path / "mine.yaml").write_text("runs: [{}]")
    fails("suite", tmp_path / "mine.yaml", "--seeds", "0,x", says=("--seeds '0,x'",))


def test_a_corrupt_record_stops_the_leaderboard_and_no_page_is_written(fer_bench, own_folders):
    store = Store()
    store.put(Record(run_id="aa-s0", row="aa", protocol="fer2013-fer7", task="fer7", dataset="fer2013", model="net"))
    path = store.path("fer2013-fer7", "net", "aa-s0")
    path.write_text(path.read_text()[:200])
    for arguments in (("leaderboard",), ("leaderboard", "--check"), ("list", "runs"), ("compare", "aa-s0", "aa-s0")):
        done = fer_bench(*arguments)
        assert done.code == 2, arguments
        assert done.err.count("\n") == 1
        assert str(path) in done.err
        assert "damaged record" in done.err
    assert not list((own_folders / "leaderboards").glob("*.md"))
    done = fer_bench("verify")
    assert done.code == 1
    assert str(path) in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("list", "modles"), ("unknown list 'modles'", "'models'")),
        (("verify", "fer2013-fer8x"), ("fer2013-fer8x",)),
        (("compare", "aaa", "bbb"), ("no record matches 'aaa'",)),
        (("evaluate", "aaa", "--by", "class", "--task", "va"), ("--task belongs to --on",)),
        (("evaluate", "aaa", "--corruptions", "--set", "n_test=5"), ("--set belongs to --on",)),
        (("evaluate", "aaa", "--train", "--set", "n_test=5"), ("--set belongs to --on",)),
        (("list", "suites", "--model", "resnet18"), ("`fer-bench list recipes` and `fer-bench list runs`",)),
        (("audit", "fer2031"), ("unknown dataset", "'fer2013'")),
        (("audit", "fer2013", "--task", "fer9"), ("unknown task",)),
        (("audit", "fer2013"), ("fer2013.csv", "Kaggle")),
        (("download", "fer2013", "--urls", "x.json"), ("'fer2013'", "findingemo")),
    ],
)
def test_other_verbs(fails, arguments, says):
    fails(*arguments, says=says)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("run", "--epoch", "3"), "--epoch"),
        (("runn",), "runn"),
        (("audit",), "DATASET"),
    ],
)
def test_usage_errors_are_one_understandable_message(fer_bench, arguments, says):
    done = fer_bench(*arguments)
    assert done.code == 2
    (error,) = [line for line in done.err.split("\n") if "Error" in line]
    assert says.lower() in error.lower()
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("predict", ".", "--run", "abc", "--csv"),
        ("evaluate", "abc", "--by", "class", "--csv"),
        ("evaluate", "abc", "--by", "class", "--png"),
        ("live", "--run", "abc", "--csv"),
        ("live", "--run", "abc", "--output"),
        ("leaderboard", "--protocol", "fer2013-fer7", "--out"),
        ("audit", "synthfaces", "--figure"),
        ("card", "abc", "--out"),
        ("annotate", "links", "study.yaml", "--out"),
        ("annotate", "export", "study.yaml", "--out"),
        ("annotate", "prescreen", "study.yaml", "--out"),
    ],
    ids=" ".join,
)
def test_a_folder_in_place_of_a_file_to_write_is_refused_first(fer_bench, tmp_path, arguments):
    done = fer_bench(*arguments, tmp_path)
    assert done.code == 2
    assert f"'{tmp_path}' is a directory" in " ".join(done.err.split())


def test_a_full_disk_while_the_result_is_written(fer_bench, own_folders, monkeypatch, drawn_cache):
    fsync = os.fsync

    def full(descriptor):
        if "leaderboards" in str(Path(f"/proc/self/fd/{descriptor}").readlink()):
            raise OSError(errno.ENOSPC, "No space left on device")
        fsync(descriptor)

    if not Path("/proc/self/fd").is_dir():
        pytest.skip("needs /proc")
    monkeypatch.setattr(os, "fsync", full)
    run = ("run", *TINY, "--epochs", "1", "--batch-size", "7", "--accelerator", "cpu")
    done = fer_bench(*run)
    assert done.code == 2
    assert done.err.strip().count("\n") == 0
    assert "No space left on device" in done.err
    assert "training is not repeated" in done.err
    assert not [path for path in (own_folders / "leaderboards").rglob("*") if path.is_file()]
    monkeypatch.setattr(os, "fsync", fsync)
    done = fer_bench(*run)
    assert done.code == 0, done.err
    assert len(Store().files()) == 1


def test_a_full_disk_while_data_is_cached(fails, tmp_path, monkeypatch):
    write_csv(tmp_path / "copy", make_faces())

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(np, "save", full)
    fails(
        "run",
        "--dataset",
        "fer2013",
        "--data-dir",
        tmp_path / "copy",
        says=("cache", "No space left", "FER_BENCH_CACHE"),
    )
    assert not list((tmp_path / "cache" / "fer2013").glob("*.part"))


def test_a_full_disk_anywhere_else(fails, monkeypatch):
    from fer_bench.cli import inspect

    def full():
        raise OSError(errno.ENOSPC, "No space left on device", "somewhere")
        yield

    monkeypatch.setitem(inspect._LISTS, "models", full)
    fails("list", "models", says=("the disk is full (somewhere)", "again"))


def shell(tmp_path, *arguments):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", "fer_bench.cli.main", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path, check=False)
    return done.returncode, done.stdout, done.stderr


def forked(tmp_path, *arguments):
    done = run_alone(COMMAND, *arguments, folder=tmp_path)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
    ("begin", "arguments", "says"),
    [
        # This one imports PyTorch before it finds no data.
        (forked, ("run", "--dataset", "fer2013", "--epochs", "2"), "Kaggle"),
        (shell, ("run", "--lr", "-1"), "lr = -1.0"),
        (shell, ("list", "modles"), "'models'"),
    ],
)
def test_in_a_process_of_its_own(tmp_path, begin, arguments, says):
    code, out, err = begin(tmp_path, *arguments)
    assert code == 2
    # At most the line that says what is begun.
    assert len(out.splitlines()) <= 1
    assert not out or out.startswith("run ")
    assert len(err.strip().split("\n")) == 1
    assert err.startswith("fer-bench: ")
    assert says in err
