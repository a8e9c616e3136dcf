"""Metrics from outside: checked first, in every new record, stated there, and left to those who have the plugin."""

from __future__ import annotations

import numpy as np
import pytest

from fer_bench import metrics, plugins
from fer_bench.errors import PluginError, PluginWarning
from fer_bench.leaderboard.render import render
from fer_bench.leaderboard.rescore import rescore
from fer_bench.leaderboard.verify import verify
from fer_bench.metric_plugins import require_plugins
from fer_bench.report.rows import build_section
from fer_bench.results.store import Store
from fer_bench.scoring.record import scored
from fer_bench.scoring.score import score
from tests.leaderboard.fake_records import PROTOCOL, predictions, put, record, run
from tests.plugins import forgotten
from tests.scoring.test_record import VALUES, values


@pytest.fixture
def brought(plugin_folder):
    for name in ("geometric_mean", "largest_error"):
        plugins.register("metric", name, f"fer_plugin.metrics:{name}")


def write(folder, text):
    (folder / "mine.py").write_text(f"import numpy as np\nimport fer_bench\n{text}\n")
    plugins.register("metric", "mine", "mine:mine")


def store_with_one(folder):
    store, test = Store(folder), predictions(0.7, 1)
    made = scored(record(), PROTOCOL, {"test": test})
    put(store, (made, {"test": test}))
    return store


def test_a_metric_from_outside_is_in_all_that_follows_from_predictions(brought):
    of_classes, of_values = score(PROTOCOL, predictions(0.7, 1, duplicates=30)), score(VALUES, values())
    low, high = of_classes["intervals"]["geometric_mean"]
    assert low < of_classes["geometric_mean"] < high
    assert of_classes["clean"]["geometric_mean"] != of_classes["geometric_mean"]
    assert "largest_error" not in of_classes
    assert of_values["largest_error"] == np.mean([of_values[name]["largest_error"] for name in ("valence", "arousal")])
    assert [metric.name for metric in metrics.table()][-2:] == ["geometric_mean", "largest_error"]


def test_a_record_says_what_brings_its_metrics_and_boards_need_no_plugin(plugin_folder, tmp_path):
    with forgotten():
        plugins.register("metric", "geometric_mean", "fer_plugin.metrics:geometric_mean")
        store = store_with_one(tmp_path / "store")
        (made,) = store.records()
        page = render(store)
        assert not verify(store).needs_plugins
        assert verify(store).ok
    stated = made.code["plugins"]
    assert set(stated) == {"metric geometric_mean"}
    assert stated["metric geometric_mean"]["object"] == "fer_plugin.metrics:geometric_mean"
    assert len(stated["metric geometric_mean"]["sha256"]) == 64
    assert not made.inputs, "how a run is scored is no part of what it is a result of"
    with forgotten():
        store = Store(tmp_path / "store")
        report = verify(store)
        assert report.ok
        assert list(report.needs_plugins.values()) == [1]
        assert "Not recomputed here: geometric_mean needs plugin fer_plugin.metrics:geometric_mean" in report.summary()
        assert render(store) == page
        assert any("Geometric mean %" in text for text in page.values())
        shown = {title: cell for title, _, cell in build_section(store, PROTOCOL, [made]).scores}
        assert shown["Geometric mean"].endswith("%]")


def test_other_code_under_the_name_recomputes_nothing(brought, plugin_folder, tmp_path):
    store = store_with_one(tmp_path / "store")
    with (plugin_folder / "fer_plugin" / "metrics.py").open("a") as file:
        file.write("# other code\n")
    require_plugins()
    assert verify(store).ok
    assert verify(store).needs_plugins


@pytest.mark.parametrize("name", ["accuracy", "per_class", "valence"])
def test_a_record_cannot_pass_a_number_of_ours_off_as_a_plugins(name, tmp_path):
    store = Store(tmp_path)
    made, splits = run(0.7)
    facts = {"object": "mine:x", "sha256": "0" * 64, "title": "X", "takes": "confusion", "unit": "", "decimals": 1}
    wrong = {**made.metrics, name: 0.99}
    put(store, (made.model_copy(update={"metrics": wrong, "code": {"plugins": {f"metric {name}": facts}}}), splits))
    assert not verify(store).ok


def test_a_number_that_nobody_brings_is_a_difference(tmp_path):
    store = Store(tmp_path)
    made, splits = run(0.7)
    put(store, (made.model_copy(update={"metrics": made.metrics | {"mine": 1.0}}), splits))
    assert "metrics.mine" in str(verify(store).differences[0])


def test_rescore_adds_it_and_says_whence(brought, tmp_path):
    store = Store(tmp_path)
    with forgotten():
        plugins._REGISTERED.clear()
        (before,) = put(store, run(0.7))
    assert verify(store).n_lacking == 1
    done = rescore(store)
    assert (done.n_done, done.added) == (1, {"geometric_mean"})
    (after,) = store.records()
    assert after.metrics == before.metrics | {
        name: after.metrics[name] for name in ("geometric_mean", "intervals", "reasons")
    }
    assert set(after.code["plugins"]) == {"metric geometric_mean"}
    assert verify(store).ok
    assert verify(store).n_lacking == 0
    assert rescore(store).n_done == 0


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("def mine(matrix): return 1.0", "no function with @fer_bench.metric"),
        ("mine = 3", "no function with"),
        ("@fer_bench.metric('Mine', 'matrix')\ndef mine(m): return 1.0", "takes = 'matrix'"),
        ("@fer_bench.metric('Mine', 'confusion', unit='px')\ndef mine(m): return 1.0", "unit = 'px'"),
        ("@fer_bench.metric('', 'confusion')\ndef mine(m): return 1.0", "make no metric"),
        ("@fer_bench.metric('Mine', 'confusion')\ndef mine(m): return m.hits.sum()", r"shape \(\), not shape \(2,\)"),
        (
            "@fer_bench.metric('Mine', 'confusion')\ndef mine(m): return m.total / m.total.sum()",
            "at once, and .* one by one",
        ),
        ("@fer_bench.metric('Mine', 'values')\ndef mine(t): return 1.0", "fails on a small case .TypeError"),
        ("@fer_bench.metric('Mine', 'values')\ndef mine(t, o): return 'good'", "gives a str, not a number"),
        ("@fer_bench.metric('Mine', 'probabilities')\ndef mine(p): return p.values", r"shape \(7, 3\), not a number"),
        ("raise RuntimeError('no licence')", "raises RuntimeError .no licence"),
    ],
)
def test_what_is_no_metric_is_refused_by_runs_and_left_out_by_readers(plugin_folder, tmp_path, text, says):
    write(plugin_folder, text)
    with pytest.raises(PluginError, match=says) as caught:
        require_plugins()
    assert "\n" not in str(caught.value)
    store = Store(tmp_path / "store")
    put(store, run(0.7))
    with pytest.warns(PluginWarning, match="left out: "):
        report = verify(store)
    assert report.ok


@pytest.mark.parametrize("name", ["intervals", "Mine", "a/b", "x" * 60])
def test_names_that_no_metric_can_have(plugin_folder, name):
    plugins.register("metric", name, "fer_plugin.metrics:geometric_mean")
    with pytest.raises(PluginError, match="cannot have this name"):
        require_plugins()


def test_a_name_of_this_package_stays_its_own(plugin_folder):
    plugins.register("metric", "accuracy", "fer_plugin.metrics:geometric_mean")
    require_plugins()
    assert metrics.get("accuracy").title == "Accuracy"


def test_a_metric_that_fails_at_the_end_loses_no_result(plugin_folder):
    fails = "@fer_bench.metric('Mine', 'confusion')\ndef mine(m):\n    assert m.n_classes == 3\n    return m.total"
    write(plugin_folder, fails)
    found = score(PROTOCOL, predictions(0.7, 1))
    assert found["mine"] is None
    assert found["reasons"]["mine"] == "the metric gives no number"
    assert found["accuracy"] > 0.5
