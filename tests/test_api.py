"""``import fer_bench``: cheap, typed, and what it offers does what the verbs do."""

from __future__ import annotations

import ast
import doctest
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import fer_bench
from fer_bench import api, paths
from fer_bench.errors import FerBenchError, SpecError, UnknownNameError
from tests.cli.every_kind import SIZES

TINY = {
    "dataset_options": SIZES,
    "model_options": {"width": 2},
    "epochs": 1,
    "batch_size": 14,
    "accelerator": "cpu",
    "precision": "32-true",
}


def test_importing_the_package_imports_nothing_else():
    code = "import sys; before = set(sys.modules); import fer_bench; print(*sorted(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["fer_bench"]


def test_what_needs_no_network_needs_no_torch():
    code = (
        "import sys, fer_bench as f; f.RunSpec(seed=1), f.Protocol, f.Record, f.Store(), f.leaderboard('fer2013-fer7'),"
        " f.label_set(['a', 'b']);from fer_bench import verify, compare, score, run, evaluate, predict, load_model,"
        " load_dataset; print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_editors_and_mypy_see_all_that_is_offered():
    tree = ast.parse(Path(fer_bench.__file__).read_text())
    (typed,) = [node for node in tree.body if isinstance(node, ast.If)]
    stated = {
        alias.asname: node.module for node in typed.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    assert stated == {name: f"fer_bench.{place}" for name, place in fer_bench._PLACES.items()}
    for name in fer_bench.__all__:
        assert getattr(fer_bench, name) is not None
        assert name in dir(fer_bench)
    with pytest.raises(AttributeError, match="runn"):
        fer_bench.runn  # noqa: B018


def test_leaderboard_is_a_function_whatever_was_imported_before():
    import fer_bench.leaderboard.rank

    assert list(fer_bench.leaderboard("fer2013-fer7").columns) == list(api.leaderboard("fer2013-fer7").columns)
    assert fer_bench.leaderboard.rank.rank


@pytest.mark.parametrize("module", [api.runs, api.loading, api.submissions, api.scores, paths])
def test_the_examples_of_the_docstrings(module, tmp_path, monkeypatch):
    finder, runner = (
        doctest.DocTestFinder(recurse=True),
        doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.IGNORE_EXCEPTION_DETAIL),
    )
    tests = [test for test in finder.find(module) if test.examples]
    assert tests
    for test in tests:
        for name in ("leaderboards", "runs"):
            monkeypatch.setenv(f"FER_BENCH_{name.upper()}", str(tmp_path / test.name / name))
        runner.run(test, out=sys.stderr.write)
    assert runner.failures == 0


def test_every_function_of_the_api_is_documented():
    assert set(api.__all__) == {name for name, place in fer_bench._PLACES.items() if place == "api"}
    for name in api.__all__:
        text = inspect.getdoc(getattr(api, name))
        assert all(part in text for part in ("Args:", "Raises:")), name
        for parameter in inspect.signature(getattr(api, name)).parameters:
            assert f"{parameter}:" in text, (name, parameter)


def test_python_and_the_command_line_make_the_same_run(own_folders, drawn_cache, monkeypatch):
    from fer_bench.apps.runs import compose, gathered
    from fer_bench.layering import layered
    from fer_bench.spec import build

    flat = {"dataset": "synthfaces", "model": "five_layer_cnn", **TINY}
    spec = compose(gathered(flat)).spec
    assert spec == build(
        layered({**{k: v for k, v in flat.items() if k != "accelerator"}, "execution": {"accelerator": "cpu"}})
    )
    assert compose(gathered({**flat, "folds": 3, "fold_by": "frame"})).spec.folding.folds == 3
    monkeypatch.setenv("FER_BENCH_CACHE", str(drawn_cache))
    record = fer_bench.run(spec=spec)
    assert fer_bench.run("synthfaces", **TINY).run_id == record.run_id == spec.run_id()
    assert not fer_bench.verify("synthfaces-fer7").differences
    assert fer_bench.compare(record, record.run_id).difference == 0
    assert fer_bench.evaluate(record, train=True, accelerator="cpu").training["on_train"]["n"] > 0
    board = fer_bench.leaderboard("synthfaces-fer7")
    assert board["accuracy"].tolist() == [record.metrics["accuracy"]]
    assert board["rank"].tolist() == [1]
    network = fer_bench.load_model(record, accelerator="cpu")
    assert not network.training
    with pytest.raises(SpecError, match="exported file"):
        fer_bench.load_model("net.onnx")


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: fer_bench.run("synthfaces", epoch=3), "unknown setting 'epoch'. Did you mean 'epochs'"),
        (
            lambda: fer_bench.run("synthfaces", acelerator="cpu"),
            "unknown setting 'acelerator'. Did you mean 'accelerator'",
        ),
        (lambda: fer_bench.run("synthfacess"), "unknown dataset 'synthfacess'. Did you mean 'synthfaces'"),
        (lambda: fer_bench.run(dataset=3), "dataset = 3"),
        (lambda: fer_bench.run(spec=fer_bench.RunSpec(), epochs=3), "a whole spec was given together with epochs"),
        (lambda: fer_bench.run("synthfaces", "five_layer_cnn", epochs=0), "epochs = 0"),
        (lambda: fer_bench.run("synthfaces", model=lambda n: None), "cannot be imported by name"),
        (lambda: fer_bench.load_dataset("fer2031"), "unknown dataset 'fer2031'"),
        (lambda: fer_bench.load_dataset("synthfaces", batchsize=3), "'batch_size'"),
        (lambda: fer_bench.load_model("abc"), "no record matches 'abc'"),
        (lambda: fer_bench.predict("nowhere.png", "abc"), "no file or folder nowhere.png"),
        (lambda: fer_bench.evaluate("abc"), "one of on, labels and train"),
        (lambda: fer_bench.evaluate("abc", "fer2013"), "no record matches 'abc'"),
        (lambda: fer_bench.compare("abc", "abd"), "no record matches 'abc'"),
        (lambda: fer_bench.leaderboard("fer2013-fer8"), "unknown protocol 'fer2013-fer8'"),
        (lambda: fer_bench.score("fer2013", "x.npz"), "x.npz|unknown protocol"),
        (lambda: fer_bench.score("fer2013-fer7", "x.npz"), r"x\.npz"),
        (lambda: fer_bench.label_set(["one"]), "two or more are needed"),
    ],
)
def test_wrong_arguments_end_in_the_suites_own_errors(own_folders, call, says):
    with pytest.raises(FerBenchError, match=says.replace(".", r"\.") if "|" not in says and "\\" not in says else says):
        call()
    assert not list((own_folders / "leaderboards").rglob("*.json"))
    assert issubclass(UnknownNameError, FerBenchError)
