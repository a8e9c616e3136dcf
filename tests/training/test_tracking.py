"""Weights & Biases, TensorBoard and CSV: what they get of a run, that a resumed run continues its own, and that they
change nothing and end nothing.
"""

from __future__ import annotations

import json
import sys

import pytest

from fer_bench.apps.runs import carry_out
from fer_bench.apps.tracking import publish_records
from fer_bench.errors import Interrupted, LoggerWarning, MissingPackageError, SpecError
from fer_bench.results.store import Store
from fer_bench.spec import Execution, build
from fer_bench.tracking.content import flat_scores
from fer_bench.tracking.session import STATE, Session
from fer_bench.training import callbacks
from fer_bench.training.run import run
from tests.offline_runs import config, epochs, header, history, offline_runs, summary


@pytest.fixture
def wandb_home(home, monkeypatch):
    pytest.importorskip("wandb", reason="the package wandb is not installed")
    for name in ("WANDB_CACHE_DIR", "WANDB_CONFIG_DIR", "WANDB_DATA_DIR"):
        monkeypatch.setenv(name, str(home / "wandb"))
    monkeypatch.setenv("WANDB_X_DISABLE_STATS", "true")
    return home


def interrupted_after(monkeypatch, n):
    """End a training by an interruption once n epochs are done."""

    def stop(self, trainer, pl_module):
        if trainer.current_epoch + 1 == n:
            trainer.should_stop = True

    monkeypatch.setattr(callbacks.NanGuard, "on_train_epoch_end", stop)
    monkeypatch.setattr("lightning.pytorch.Trainer.received_sigterm", property(lambda self: self.should_stop))


def test_an_offline_run_holds_all_of_it_and_a_resumed_one_continues(wandb_home, tiny, monkeypatch):
    spec = tiny(epochs=3, lr=0.002, execution={"wandb": "offline", "wandb_project": "faces", "wandb_tags": ["mine"]})
    with monkeypatch.context() as patch:
        interrupted_after(patch, 2)
        with pytest.raises(Interrupted):
            run(spec)
    record = run(spec)
    assert record.training["resumed"]
    first, second = offline_runs(wandb_home / "runs" / spec.training_id())
    assert header(first).run_id == header(second).run_id
    assert header(second).project == "faces"
    assert header(second).display_name == record.run_id
    assert header(second).run_group == record.row
    assert {"mine", "synthfaces", "fer7"} <= set(header(second).tags)
    # Each epoch once, counted from 1, with its learning rate.
    assert [row["epoch"] for row in epochs(first)] == [1, 2]
    assert [row["epoch"] for row in epochs(second)] == [3]
    curves = record.training["curves"]
    logged = [*epochs(first), *epochs(second)]
    assert [row["lr"] for row in logged] == pytest.approx(curves["lr"])
    assert [row["validation/accuracy"] for row in logged] == pytest.approx(curves["validation/accuracy"])
    found = config(second)
    assert found["settings"] == json.loads(json.dumps(record.spec))
    assert found["settings"]["lr"] == 0.002
    assert found["seed"] == record.seed
    assert found["hardware"]["accelerator"] == "cpu"
    assert found["data"]["checksums"] == record.data["checksums"]
    scores = summary(second)
    assert scores["test/accuracy"] == pytest.approx(record.metrics["accuracy"])
    assert scores["status"] == "finished"


def test_loggers_change_neither_record_nor_id(wandb_home, tiny):
    plain = tiny(epochs=1)
    tracked_ = tiny(epochs=1, execution={"wandb": "offline", "logger": "none", "wandb_entity": "us"})
    assert plain.run_id() == tracked_.run_id()
    first, second = (run(spec, Store(wandb_home / name), force=True) for name, spec in (("a", plain), ("b", tracked_)))
    kept = {"metrics", "validation_metrics", "run_id", "row", "spec", "inputs", "data", "hardware", "outcomes"}
    assert first.model_dump(include=kept) == second.model_dump(include=kept)
    assert set(first.training) == set(second.training)
    assert first.training["weights_sha256"] == second.training["weights_sha256"]


def test_a_training_that_another_run_shares_is_logged_for_it_too(wandb_home, tiny):
    settings = {"epochs": 2, "execution": {"wandb": "offline"}}
    run(tiny(**{**settings, "execution": {}}))
    tested_otherwise = run(tiny(**settings, tta=2))
    (only,) = offline_runs(wandb_home / "runs" / tiny(**settings).training_id())
    assert [row["epoch"] for row in epochs(only)] == [1, 2]
    assert header(only).display_name == tested_otherwise.run_id


class Broken:
    """A tracker's run of which everything fails."""

    id = "broken"

    def __getattr__(self, name):
        raise OSError(28, "No space left on device")


def test_a_session_that_fails_says_so_once(recwarn):
    session = Session(Broken())
    for call in (lambda: session.epoch(1, {"lr": 1.0}), lambda: session.summary({"a": 1}), session.close):
        call()
    notices = [str(found.message) for found in recwarn if found.category is LoggerWarning]
    assert len(notices) == 1
    assert "No space left" in notices[0]
    assert not session.is_open


@pytest.mark.parametrize("broken", ["init", "log", "finish"])
def test_a_training_outlives_its_tracker(wandb_home, tiny, monkeypatch, broken):
    import wandb

    def fail(*args, **named):
        raise wandb.errors.CommError("the network is unreachable")

    whole = {"init": (wandb, "init"), "log": (wandb.Run, "log"), "finish": (wandb.Run, "finish")}
    wandb.teardown()
    with monkeypatch.context() as patch:
        patch.setattr(*whole[broken], fail)
        with pytest.warns(LoggerWarning, match="unreachable") as notices:
            record = run(tiny(epochs=2, execution={"wandb": "offline"}))
    wandb.teardown()
    assert record.status == "finished"
    assert len([found for found in notices if found.category is LoggerWarning]) == 1


def test_a_csv_logger_without_space_costs_nothing(home, tiny, monkeypatch):
    from lightning.pytorch.loggers import CSVLogger

    def full(self):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(CSVLogger, "save", full)
    with pytest.warns(LoggerWarning, match="CSV logger.*No space left"):
        assert run(tiny(epochs=2)).status == "finished"


def test_csv_has_the_learning_rate(home, tiny):
    record = run(tiny(epochs=2))
    (written,) = (home / "runs" / record.run_id / "logs").glob("attempt_0/metrics.csv")
    header_, *rows = [line.split(",") for line in written.read_text().splitlines()]
    rates = [float(row[header_.index("lr")]) for row in rows if row[header_.index("lr")]]
    assert rates == pytest.approx(record.training["curves"]["lr"])


def test_no_logger_writes_no_logs(home, tiny):
    record = run(tiny(epochs=1, execution={"logger": "none"}))
    assert not (home / "runs" / record.run_id / "logs").exists()


def test_tensorboard_gets_epochs_and_result(home, tiny):
    pytest.importorskip("tensorboard", reason="the package tensorboard is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    record = run(tiny(epochs=2, execution={"logger": "both"}))
    logs = home / "runs" / record.run_id / "logs"
    assert (logs / "attempt_0" / "metrics.csv").is_file()
    events = EventAccumulator(str(logs / "attempt_0")).Reload()
    assert [event.value for event in events.Scalars("lr")] == pytest.approx(record.training["curves"]["lr"])
    steps = [[event.step for event in events.Scalars(name)] for name in ("lr", "validation/loss")]
    assert steps[0] == steps[1]
    result = EventAccumulator(str(logs / "result")).Reload()
    assert result.Scalars("test/accuracy")[0].value == pytest.approx(record.metrics["accuracy"])


@pytest.mark.parametrize(
    ("package", "execution"), [("wandb", {"wandb": "offline"}), ("tensorboard", {"logger": "tensorboard"})]
)
def test_a_missing_package_is_one_line_before_anything_begins(monkeypatch, tiny, package, execution):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingPackageError, match=rf"fer_bench\[{package}\]") as error:
        run(tiny(execution=execution))
    assert "\n" not in str(error.value)


def test_names_that_no_tracker_accepts_are_refused():
    for setting in ("wandb_project", "wandb_entity"):
        with pytest.raises(SpecError, match=setting):
            build({"execution": {setting: "a/b"}}, "the command line")
    assert Execution().logger == "csv"


def test_scores_are_flattened_by_their_paths():
    scores = {"accuracy": 0.5, "clean": {"n": 3, "f1": None}, "confusion": [[1]], "per_class": {"f1": [0.1]}}
    assert flat_scores(scores, "test") == {"test/accuracy": 0.5, "test/clean/n": 3}


def test_a_session_remembers_its_epochs_where_its_id_is_the_same(tmp_path):
    class Run:
        class settings:
            mode = "offline"

        def __init__(self, id_):
            self.id, self.logged = id_, []

        def log(self, values, step, commit):
            self.logged.append(step)

    first = Session(Run("a"), tmp_path)
    first.curves({"loss": [0.1, 0.2]})
    assert json.loads((tmp_path / STATE).read_text()) == {"id": "a", "epochs": 2}
    same, other = Session(Run("a"), tmp_path), Session(Run("b"), tmp_path)
    for session in (same, other):
        session.curves({"loss": [0.1, 0.2, 0.3]})
    assert same.run.logged == [3]
    assert other.run.logged == [1, 2, 3]


def test_a_record_is_shown_with_its_matrix_and_figures(wandb_home, finished):
    _, record, store = finished
    publish_records([record], store, Execution(wandb="offline", wandb_tags=("paper",)))
    (only,) = offline_runs(wandb_home / "runs" / "tracked")
    assert header(only).display_name == record.run_id
    assert "paper" in header(only).tags
    shown = {name for row in history(only) for name in row}
    for name in ("figures/confusion_test", "figures/learning_curves", "test/confusion_matrix"):
        assert any(found.startswith(name) for found in shown), name
    assert [row["epoch"] for row in epochs(only) if "lr" in row] == [1, 2, 3]
    assert summary(only)["test/accuracy"] == pytest.approx(record.metrics["accuracy"])
    tables = [json.loads(path.read_text()) for path in only.parent.rglob("*.table.json")]
    (matrix,) = (table["data"] for table in tables if "nPredictions" in table["columns"])
    assert sum(row[2] for row in matrix) == record.n_scored


def test_values_are_shown_as_a_scatter(wandb_home, tiny):
    store = Store()
    record = carry_out(tiny(epochs=1, task="va", loss="mse", execution={"wandb": "offline"}), store)
    (only,) = offline_runs(wandb_home / "runs" / record.run_id)
    shown = {name for row in history(only) for name in row}
    for name in ("valence", "arousal"):
        assert any(found.startswith(f"test/scatter_{name}") for found in shown)
    tables = [json.loads(path.read_text()) for path in only.parent.rglob("*.table.json")]
    assert {len(table["data"]) for table in tables if table["columns"] == ["true", "predicted"]} == {record.n_scored}


def test_a_figure_that_fails_costs_nothing_else(monkeypatch, finished):
    from fer_bench.apps import tracking

    def shown(store, record):
        yield "first", 1
        raise ValueError("no such font")

    class Kept:
        def media(self, found):
            self.found = found

    monkeypatch.setattr(tracking, "_shown", shown)
    kept = Kept()
    with pytest.warns(LoggerWarning, match="no such font"):
        tracking.publish(kept, finished[2], finished[1])
    assert kept.found == {"first": 1}


def test_verbs_without_a_training_publish_their_records(wandb_home, finished, tiny, monkeypatch):
    from typer.testing import CliRunner

    from fer_bench.apps import tracking
    from fer_bench.cli.main import app

    published = []
    monkeypatch.setattr(
        tracking, "publish_records", lambda records, store, execution: published.append((list(records), execution))
    )
    _, record, _ = finished
    other = run(tiny(epochs=1, seed=1))
    wandb = ["--wandb", "offline", "--wandb-project", "faces", "--wandb-tags", "a,b"]
    ensemble = ["ensemble", "--protocol", "synthfaces-fer7", "--members", f"{record.run_id},{other.run_id}"]
    for command in (ensemble, ["evaluate", record.run_id, "--on", "synthfaces"]):
        done = CliRunner().invoke(app, [*command, *wandb])
        assert done.exit_code == 0, (done.output, done.exception)
        records, execution = published.pop()
        assert len(records) == 1
        assert (execution.wandb, execution.wandb_project, execution.wandb_tags) == ("offline", "faces", ("a", "b"))
    refused = CliRunner().invoke(app, ["evaluate", record.run_id, "--by", "class", *wandb])
    assert isinstance(refused.exception, SpecError)
