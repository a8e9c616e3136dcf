"""The figures of a GPU: the script runs everywhere, and measures where there is one."""

from __future__ import annotations

import re

import pytest
import torch


def test_without_a_gpu_it_says_so(script, capsys, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    script("gpu").main([])
    said = capsys.readouterr().out
    assert said.count("\n") == 1
    assert "no GPU" in said


# The compiler takes most of the time, even where it leaves the work to PyTorch as it is.
@pytest.mark.parametrize("compiler", [False, pytest.param(True, marks=pytest.mark.proof)])
def test_every_part_runs_on_tiny_sizes(script, capsys, monkeypatch, compiler):
    compiled = []
    if not compiler:
        monkeypatch.setattr(torch, "compile", lambda network, **_: compiled.append(network) or network)
    script("gpu").main(["--cpu", "--parts", "loop", "layout", "probes"])
    assert compiler or compiled
    said = capsys.readouterr().out
    assert "these figures mean nothing" in said
    assert re.search(r"suite / plain loop [\d.]+x, by round [\d.]+x \(aim: at least 0\.9\)", said)
    assert re.search(r"channels last, compiled [\d.]+x", said)
    assert re.search(r"ratio [\d.]+x \(aim: at least 25\)", said)


def test_one_gpu_is_too_few_for_two(script, capsys, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    script("gpu").ddp(None, None, script("gpu").argparse.Namespace(cpu=False))
    assert "one GPU: not measured" in capsys.readouterr().out
