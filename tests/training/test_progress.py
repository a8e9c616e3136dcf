"""What one sees while training: the line before anything is loaded, and the bar on a terminal."""

from __future__ import annotations

import io
import itertools
import re

import pytest
from rich.console import Console

from fer_bench.protocols import protocol_for
from fer_bench.training import fit, hardware, trainer
from fer_bench.training.announce import announced, epochs_done
from fer_bench.training.progress import Bar, line
from fer_bench.training.run import run


@pytest.mark.parametrize("width", [20, 40, 60, 80, 100])
def test_the_bar_fits(width):
    names = ("accuracy", "f1_of_a_plugin_with_a_long_name")
    values = (None, 0.98765)
    for name, value, loss, left in itertools.product(names, values, (None, 123.456), (None, 4e6, 12.0)):
        shown = line((300, 300), (12345, 99999), loss=loss, metric=(name, value, value), seconds_left=left, width=width)
        assert len(shown) <= width
        assert shown.startswith("epoch 300/300")


def test_the_bar_has_what_one_looks_for():
    shown = line((3, 30), (5, 10), loss=1.23456, metric=("accuracy", 0.5, 0.6), seconds_left=150.0)
    assert re.fullmatch(r"epoch 3/30  ━+─+  5/10  loss 1\.235  accuracy 0\.5000  best 0\.6000  2\.5 min left", shown)
    assert shown.count("━") == shown.count("─")
    narrow = line((3, 30), (5, 10), loss=1.2, metric=("accuracy", 0.5, 0.6), seconds_left=150.0, width=50)
    assert "loss 1.2" in narrow
    assert "2.5 min left" in narrow


def test_a_training_on_a_terminal_shows_the_bar(home, tiny, monkeypatch):
    written = io.StringIO()
    console = Console(file=written, force_terminal=True, width=140)
    monkeypatch.setattr("fer_bench.training.progress._EVERY", 0.0)
    for room in (trainer, fit):
        monkeypatch.setattr(room, "on_terminal", lambda: True)
    monkeypatch.setattr(trainer, "Bar", lambda monitor, higher: Bar(monitor, higher, console))
    run(tiny(epochs=2, batch_size=8))
    shown = [part for part in re.split(r"\x1b\[[0-9;?]*[A-Za-z]|\r|\n", written.getvalue()) if "epoch" in part]
    assert max(map(len, shown)) <= 100
    assert shown[0].startswith("epoch 1/2")
    assert not any("epoch 0" in part or "epoch 3" in part for part in shown)
    assert any("accuracy 0." in part and "loss" in part and "left" in part for part in shown)


def test_without_a_terminal_there_are_lines_and_no_bar(home, tiny, capsys):
    run(tiny(epochs=2))
    out, err = capsys.readouterr()
    assert [text.split("  ")[0] for text in out.splitlines() if text.startswith("epoch")] == ["epoch 1/2", "epoch 2/2"]
    assert "\x1b" not in out + err


def test_the_first_line_comes_before_the_data(home, tiny, monkeypatch, capsys):
    spec = tiny(epochs=3)
    before = []

    def load(*args, **named):
        before.append(capsys.readouterr().out)
        raise KeyboardInterrupt

    monkeypatch.setattr("fer_bench.training.run.build_datamodule", load)
    with pytest.raises(KeyboardInterrupt):
        run(spec)
    (text,) = before[0].splitlines()
    for part in (spec.run_id(), "synthfaces-fer7", "five_layer_cnn", "cpu, 32-true", "starts at epoch 1"):
        assert part in text


def test_the_line_says_where_a_run_resumes(home, tiny):
    import torch

    from fer_bench import paths

    spec = tiny(epochs=5)
    protocol, device = protocol_for("synthfaces", "fer7"), hardware.resolve(spec)
    folder = paths.runs_dir() / spec.training_id()
    folder.mkdir(parents=True)

    def said(**how):
        return announced(spec, protocol, device, **{"anew": False, "recorded": False, **how})

    assert said().endswith("starts at epoch 1")
    torch.save({"epoch": 1}, folder / "last.ckpt")
    assert said().endswith("resumes at epoch 3 of 5")
    assert said(anew=True).endswith("starts at epoch 1")
    (folder / "trained.json").write_text("{}")
    assert said().endswith("is trained, will be tested")
    assert said(recorded=True).endswith("has a record")
    # What is damaged is said where it is loaded.
    (folder / "last.ckpt").write_bytes(b"PK")
    assert epochs_done(folder / "last.ckpt") == 0
