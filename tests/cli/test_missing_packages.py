"""Without a package, every verb that needs it says in one line which extra brings it; the others work."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from fer_bench.packages import PACKAGES, explain, require
from tests.deploy.conftest import make_run

__all__ = ["make_run"]
ROOT = Path(__file__).resolve().parents[2]
TRAIN = ("torch", "torchvision", "lightning", "timm", "torchmetrics", "albumentations", "cv2")
OPTIONAL = tuple(module for module, (_, extra) in PACKAGES.items() if extra)
RUN = [
    "run",
    "--epochs=1",
    "--set=dataset_options.n_train=14",
    "--set=dataset_options.n_validation=7",
    "--set=dataset_options.n_test=7",
]
# Each case (packages that are missing, commands) is a process, forked from one that has imported what no case of its
# stage or of a later one misses. The commands of a case share it.
SCRIPT = """
import importlib, json, os, sys

def begin(blocked, commands):
    assert not set(blocked) & set(sys.modules), "what is imported is not missing"
    for name in blocked:
        sys.modules[name] = None
    from fer_bench.cli.main import main
    for command in commands:
        sys.argv = ["fer-bench", *command]
        try:
            main()
        except SystemExit as end:
            code = end.code
        else:
            code = 0
        print(f"::{code or 0}", flush=True)
        print(f"::{code or 0}", file=sys.stderr, flush=True)

for imported, cases in json.loads(sys.argv[1]):
    for name in imported:
        importlib.import_module(name)
    for blocked, commands in cases:
        child = os.fork()
        if not child:
            begin(blocked, commands)
            sys.stdout.flush()
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0, blocked
"""


def answers_without(stages, folder):
    """Exit code, standard output and standard error of each command of each case, where packages are missing.

    Args:
        stages: what is imported (further than in the stage before), and the cases in which it is there.
        folder: where the commands are given.
    """
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps(stages)],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "NO_COLOR": "1"},
    )
    assert "Traceback" not in done.stderr, done.stderr
    cases = [case for _, cases in stages for case in cases]
    outs, errs = (re.split(r"::(\d+)\n", text) for text in (done.stdout, done.stderr))
    assert len(outs) == 2 * sum(len(commands) for _, commands in cases) + 1, done.stderr
    answers = iter([(int(code), out, err) for code, out, err in zip(outs[1::2], outs[::2], errs[::2], strict=False)])
    return [[next(answers) for _ in commands] for _, commands in cases]


def test_a_base_installation(tmp_path):
    (tmp_path / "x.onnx").write_bytes(b"")
    (tmp_path / "answers.csv").write_text("rater,image,expression\na,x,happy\nb,x,happy\n")
    needing = {
        "train": (
            RUN,
            ["probe", "--backbone=resnet18"],
            ["fuse", "features:resnet18", "features:resnet50"],
            ["predict", ".", "--run=abc"],
            ["live", "--run=abc"],
            ["export", "abc", "--onnx=a.onnx"],
            ["human-baseline"],
            ["evaluate", "abc", "--train"],
            ["evaluate", "abc", "--on=fer2013"],
            ["list", "losses"],
            ["suite", "five_layer_cnn"],
            ["annotate", "images", "fer2013", "--out=i"],
        ),
        "onnx": (["predict", ".", "--run=x.onnx"], ["live", "--run=x.onnx"]),
        "study": (["study", "reannotation", "answers.csv"],),
        "annotate": (["annotate", "serve", "study.yaml"],),
        "download": (["download", "findingemo", "--urls=x.json"],),
    }
    commands = [command for group in needing.values() for command in group]
    working = (
        ["list", "models"],
        ["list", "protocols"],
        ["list", "suites"],
        ["doctor"],
        ["suite", "five_layer_cnn", "--dry-run"],
    )
    cases = [(OPTIONAL, commands), (OPTIONAL, working)]
    found, worked = map(iter, answers_without([(BASE, cases)], tmp_path))
    for extra, group in needing.items():
        for command in group:
            code, _, error = next(found)
            assert code == 2, (command, error)
            lines = error.strip().split("\n")
            assert len(lines) == 1, (command, error)
            assert f"fer_bench[{extra}]" in lines[0], (command, error)
            assert "No module named" not in error
    for command, (code, _, error) in zip(working, worked, strict=True):
        assert code == 0, (command, error)


ONE_PACKAGE = {
    "timm": (["run", "--model=timm:resnet18"], "train"),
    "albumentations": ([*RUN, "--augment=standard", "--augment-on=loader"], "train"),
    "wandb": ([*RUN, "--wandb=offline"], "wandb"),
    "lightning": (RUN, "train"),
    "torchmetrics": (RUN, "train"),
    "cv2": (RUN, "train"),
    "onnx": (["export", "abc", "--onnx=a.onnx"], "onnx"),
    "onnxscript": (["export", "abc", "--onnx=a.onnx"], "onnx"),
    "pyarrow": (["study", "reannotation", "answers.parquet"], "study"),
}
# What every verb imports, and what every installation has.
BASE = ("fer_bench.cli.main", "fer_bench.apps.runs", "fer_bench.results.store", "scipy.stats")
# Importing these takes seconds; each imports the rest of its row, and none of the packages that are missing in the
# cases of its stage.
STAGES = (
    (BASE, ("pyarrow",)),
    (("torch", "torchvision"), ("lightning", "torchmetrics")),
    (("lightning",), ("timm", "wandb")),
    (("timm",), ("cv2", "albumentations", "onnx", "onnxscript")),
)


@pytest.fixture(scope="module")
def answers_without_one(tmp_path_factory):
    """What the command of each package answers without it, and the folder in which it did."""
    assert sorted(package for _, packages in STAGES for package in packages) == sorted(ONE_PACKAGE)
    folder = tmp_path_factory.mktemp("without")
    (folder / "answers.parquet").write_bytes(b"PAR1")
    stages = [
        (imported, [([package], [ONE_PACKAGE[package][0]]) for package in packages]) for imported, packages in STAGES
    ]
    with pytest.MonkeyPatch.context() as patch:
        for name in ("cache", "runs", "leaderboards", "data"):
            patch.setenv(f"FER_BENCH_{name.upper()}", str(folder / name))
        found = answers_without(stages, folder)
    packages = [package for _, packages in STAGES for package in packages]
    return {package: (answer, folder) for package, (answer,) in zip(packages, found, strict=True)}


@pytest.mark.proof
@pytest.mark.parametrize("package", ONE_PACKAGE)
def test_one_package(package, answers_without_one):
    (code, _, error), folder = answers_without_one[package]
    assert code == 2, error
    assert error.strip().count("\n") == 0, error
    assert f"fer_bench[{ONE_PACKAGE[package][1]}]" in error
    assert not list(folder.rglob("*.ckpt"))


def test_an_exported_network_runs_without_the_extra_train(tmp_path, make_run, small_synth, fer_bench):
    import cv2
    import numpy as np

    _, run_id = make_run(dataset_options=small_synth)
    cv2.imwrite(str(tmp_path / "a.png"), np.full((48, 48), 99, dtype=np.uint8))
    net = tmp_path / "net.onnx"
    assert fer_bench("export", run_id, "--onnx", net, "--images", tmp_path / "a.png").code == 0
    without_train = [module for module in TRAIN if module != "cv2"]
    case = ([*without_train, "onnx", "onnxscript"], [["predict", str(tmp_path / "a.png"), "--run", str(net)]])
    (((code, out, error),),) = answers_without([((), [case])], tmp_path)
    assert code == 0, error
    assert "happy 0." in out


def test_the_table_is_that_of_the_project_file():
    text = (ROOT / "pyproject.toml").read_text()
    for package, extra in PACKAGES.values():
        if package not in ("safetensors", "huggingface_hub"):
            section = re.search(
                rf"^{extra} = \[(.*?)\]\s*(#.*)?$" if extra else r"^dependencies = \[(.*?)^\]",
                text,
                re.MULTILINE | re.DOTALL,
            )
            assert section is not None
            assert f'"{package}' in section[1], (package, extra)


def test_a_package_that_cannot_be_loaded():
    broken = explain(ImportError("libGL.so.1: cannot open shared object file", name="cv2", path="/x/cv2.so"))
    assert broken is not None
    assert "cannot be loaded (libGL.so.1" in str(broken)
    assert "opencv-python-headless" in str(broken)
    assert explain(ModuleNotFoundError("No module named 'fer_bench.oops'", name="fer_bench.oops")) is None
    with pytest.raises(ImportError):
        require(("a_module_that_nobody_has",))
