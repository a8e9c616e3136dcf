from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import fer_bench
from fer_bench import metrics
from fer_bench.leaderboard.significance import ByReplicates, Untested, choose_test
from fer_bench.metric_plugins import function
from fer_bench.metrics import METRICS, Metric
from fer_bench.protocols import TASKS, Protocol
from fer_bench.report.rows import build_section
from fer_bench.results.record import Record
from fer_bench.results.store import Store
from fer_bench.scoring import moments
from fer_bench.scoring.score import score
from fer_bench.tasks.expression import ClassScores
from tests.leaderboard.fake_records import PROTOCOL, predictions, put, record, run
from tests.scoring.test_record import VALUES, values


def geometric_mean(matrix):
    """Of recalls: a metric that is added in tests, as anybody would."""
    return np.exp(np.log(np.maximum(matrix.recall, 1e-3)).mean(axis=-1))


def median_error(targets, outputs):
    return float(np.median(np.abs(targets - outputs)))


@pytest.fixture
def added(monkeypatch):
    """Two metrics more, by an entry each."""
    monkeypatch.setattr(METRICS, "_items", dict(METRICS._items))
    for metric in (
        Metric(
            "g_mean",
            "G-mean",
            "confusion",
            f"{__name__}:geometric_mean",
            unit="%",
            decimals=1,
            test="resampling",
            since=99,
        ),
        Metric(
            "median_error",
            "Median error",
            "values",
            f"{__name__}:median_error",
            unit="dataset",
            lower_is_better=True,
            since=99,
        ),
    ):
        METRICS.add(metric.name, metric)


def test_everything_that_an_entry_names_is_there():
    for metric in metrics.table():
        assert METRICS[metric.name] is metric
        assert bool(metric.compute) == (metric.takes != "training")
        for reference in filter(None, (metric.compute, metric.of_sums)):
            assert callable(function(reference))
        assert bool(metric.of_sums) == (metric.takes in ("values", "signs") and metric.test == "resampling")
        assert not (metric.test == "outcomes" and metric.name != "accuracy"), (
            "outcomes are right or wrong: they give the accuracy alone"
        )
    assert metrics.names("confusion") == (
        "accuracy",
        "balanced_accuracy",
        "macro_f1",
        "weighted_f1",
        "cohen_kappa",
        "mcc",
    )
    assert metrics.names("values", "signs") == (
        "ccc",
        "pcc",
        "icc31",
        "rmse",
        "mae",
        "sagr",
        "rmse_scaled",
        "mae_scaled",
    )
    assert moments.of_sums() == ("ccc", "pcc", "icc31", "rmse", "mae")
    assert all(task.primary in METRICS for task in map(TASKS.__getitem__, TASKS))


def test_direction_and_unit():
    assert {metric.name for metric in metrics.table() if metric.lower_is_better} == {
        "loss",
        "binary_nll",
        "nll",
        "brier",
        "ece",
        "rmse",
        "mae",
        "rmse_scaled",
        "mae_scaled",
    }
    assert {m.name for m in metrics.table() if m.is_share} == {
        "accuracy",
        "balanced_accuracy",
        "macro_f1",
        "weighted_f1",
        "macro_ap",
        "map",
        "mean_auc",
    }
    assert metrics.in_units(0.61234, "folds/averaged/train_accuracy") == "61.23 %"
    assert metrics.in_units(0.61234, "valence/ccc") == "0.612"
    assert metrics.in_units(None, "accuracy") == "–"
    assert metrics.number(0.5, "zzz") == "0.500"
    assert [metrics.in_words(name) for name in ("macro_f1", "ccc", "icc31", "cohen_kappa", "loss", "zzz")] == [
        "macro-F1",
        "CCC",
        "ICC(3,1)",
        "Cohen's kappa",
        "loss",
        "zzz",
    ]


@pytest.mark.parametrize(
    "title", ["Balanced accuracy", "balanced accuracy", "Weighted F1", "Macro-AP", "RMSE on", "Cohen's kappa"]
)
def test_a_title_stands_in_one_file(title):
    package = Path(fer_bench.__file__).parent
    files = {
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        if re.search(f"(?<![\"'])[\"']{title}", path.read_text())
    }
    assert files <= {"metrics.py"}


def test_a_metric_costs_one_entry(added, tmp_path):
    of_classes, of_values = score(PROTOCOL, predictions(0.7, 1, duplicates=30)), score(VALUES, values())
    assert 0.6 < of_classes["g_mean"] < 0.8
    low, high = of_classes["intervals"]["g_mean"]
    assert low < of_classes["g_mean"] < high
    assert of_classes["clean"]["g_mean"] != of_classes["g_mean"]
    assert of_values["median_error"] == np.mean(
        [of_values["valence"]["median_error"], of_values["arousal"]["median_error"]]
    )
    assert "median_error" not in of_values["intervals"], "no sums give a median"
    judged = Protocol("toy", TASKS["fer7"].__class__("fer7", "classes", "g_mean", TASKS["fer7"].labels))
    assert isinstance(choose_test(judged, lambda *_: None), ByReplicates)
    assert isinstance(
        choose_test(Protocol("toy", TASKS["va"].__class__("va", "values", "median_error")), lambda *_: None), Untested
    )
    assert (
        judged.higher_is_better,
        Protocol("toy", TASKS["va"].__class__("va", "values", "median_error")).higher_is_better,
    ) == (True, False)
    assert "validation/g_mean" in ClassScores(7, prefix="validation/").compute()
    store = Store(tmp_path)
    test = predictions(0.7, 1)
    (stored,) = put(store, (record(test=test, scores=score(PROTOCOL, test)), {"test": test}))
    shown = {title: cell for title, _, cell in build_section(store, PROTOCOL, [stored]).scores}
    assert re.fullmatch(r"\d\d\.\d % \[\d\d\.\d %, \d\d\.\d %\]", shown["G-mean"])


def test_the_report_shows_agreement_beyond_chance(tmp_path):
    store = Store(tmp_path)
    (stored,) = put(store, run(0.7))
    shown = {title: test for title, _, test in build_section(store, PROTOCOL, [stored]).scores}
    assert re.fullmatch(r"0\.\d{3} \[0\.\d{3}, 0\.\d{3}\]", shown["Cohen's kappa"])
    assert shown["MCC"]


def test_a_name_is_taken_once():
    with pytest.raises(ValueError, match="'mcc' is registered twice"):
        METRICS.add("mcc", METRICS["mcc"])


def test_the_table_needs_no_torch():
    code = (
        "import sys; from fer_bench import metric_plugins, metrics; "
        "[metric_plugins.function(m.compute) for m in metrics.table() if m.compute]; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_records_of_before_are_of_the_first_revision():
    assert Record.model_fields["metrics_version"].default == 1 == min(metric.since for metric in metrics.table())
    assert metrics.revision() == 3


def test_a_zero_has_no_sign():
    assert metrics.number(-0.0004, "ccc") == "0.000"
    assert metrics.number(-0.00001, "accuracy") == "0.00"
    assert metrics.number(-0.0006, "ccc") == "-0.001"
