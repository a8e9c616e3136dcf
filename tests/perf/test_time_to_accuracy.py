"""The measurement of time to accuracy: three ways, one table, and an interruption that costs one leg at most."""

from __future__ import annotations

import argparse
import json
import re
import subprocess
from functools import partial
from types import SimpleNamespace

import pytest

from fer_bench.results.inputs import any_record
from fer_bench.results.store import Store
from tests.forks import ForkedPopen


def result(way, seed, seconds, key, *, reached=True, share=0.97):
    curve = [0.5, 0.66 if reached else 0.6]
    found = {
        "reached": 2 if reached else None,
        "best": curve[1],
        "seconds": seconds,
        "images_per_second": 700.0,
        "share": share,
        "curve": curve,
        "ends": [1, 2],
    }
    return {"way": way, "seed": seed, "key": key, **found}


def options_for(tmp_path, **over):
    given = {
        "ways": ["today", "usual", "fast"],
        "seeds": 2,
        "target": 0.655,
        "threads": 2,
        "quick": False,
        "data_dir": None,
        "to": tmp_path / "legs.jsonl",
    }
    return argparse.Namespace(**{**given, **over})


def test_all_three_ways_train_and_are_not_trained_again(script, tmp_path, capsys, monkeypatch):
    measure = script("time_to_accuracy")
    to = tmp_path / "legs.jsonl"
    command = ["--quick", "--seeds", "1", "--target", "0.01", "--threads", "1", "--to", str(to)]
    monkeypatch.setattr(
        measure,
        "measured",
        lambda way, seed, given: {**measure.leg(way, seed, given), "key": measure.key_of(way, given)},
    )
    measure.main(command)
    shown = capsys.readouterr().out
    legs = [json.loads(line) for line in to.read_text().splitlines()]
    assert [one["way"] for one in legs] == ["today", "usual", "fast"]
    # The first epoch reaches a target of a hundredth, and ends the leg.
    assert all(one["reached"] == len(one["curve"]) == 1 and one["seconds"] > 0 for one in legs)
    assert re.search(r"today / fast [\d.]+x \(aim: at least 2\.5\).*\nusual / fast [\d.]+x \(aim: at least 8\)", shown)
    # What was trained is no row: nothing was tested.
    assert not any_record(
        Store(),
        "synthfaces-fer7",
        "five_layer_cnn",
        measure.spec_of("today", 0, options_for(tmp_path, quick=True)).run_id(),
    )
    monkeypatch.setattr(measure, "measured", lambda *_: pytest.fail("a finished leg was trained again"))
    measure.main(command)


@pytest.mark.proof
def test_a_leg_is_a_process_of_its_own(script, tmp_path, capsys, monkeypatch):
    measure = script("time_to_accuracy")
    stand_in = SimpleNamespace(Popen=partial(ForkedPopen, folder=tmp_path), PIPE=subprocess.PIPE)
    monkeypatch.setattr(measure, "subprocess", stand_in)
    to = tmp_path / "legs.jsonl"
    measure.main(["--quick", "--seeds", "1", "--target", "0.01", "--threads", "1", "--ways", "fast", "--to", str(to)])
    assert "fast, seed 0\n  epoch 1/2" in capsys.readouterr().out
    assert json.loads(to.read_text())["key"] == measure.key_of(
        "fast", options_for(tmp_path, quick=True, threads=1, target=0.01)
    )


def test_an_interrupted_measurement_goes_on(script, tmp_path, monkeypatch):
    measure = script("time_to_accuracy")
    options = options_for(tmp_path)
    order = []

    def interrupted(way, seed, given):
        if len(order) == 4:
            raise KeyboardInterrupt
        order.append((way, seed))
        return result(way, seed, 10.0, measure.key_of(way, given))

    monkeypatch.setattr(measure, "measured", interrupted)
    command = ["--seeds", "2", "--threads", "2", "--to", str(options.to)]
    with pytest.raises(KeyboardInterrupt):
        measure.main(command)
    with options.to.open("a") as file:
        file.write('{"way": "usu')
    assert order == [("today", 0), ("usual", 0), ("fast", 0), ("today", 1)]
    assert set(measure.finished(options)) == set(order)
    measure.append(options.to, result("usual", 1, 10.0, measure.key_of("usual", options)))
    # The line that was cut short is closed before the next one.
    assert ("usual", 1) in measure.finished(options)


def test_legs_of_another_target_or_recipe_do_not_count(script, tmp_path):
    measure = script("time_to_accuracy")
    options = options_for(tmp_path)
    measure.append(options.to, result("fast", 0, 10.0, measure.key_of("fast", options)))
    assert set(measure.finished(options)) == {("fast", 0)}
    for change in ({"target": 0.66}, {"threads": 1}, {"quick": True}, {"ways": ["today"]}, {"seeds": 0}):
        assert not measure.finished(options_for(tmp_path, **change))


def test_the_table_says_what_cannot_be_compared(script, tmp_path):
    measure = script("time_to_accuracy")
    options = options_for(tmp_path)
    legs = {
        (way, seed): result(way, seed, {"today": 900, "usual": 2700, "fast": 300}[way] + seed, "")
        for way in options.ways
        for seed in (0, 1)
    }
    shown = measure.table(legs, options)
    assert "today / fast 3.00x (aim: at least 2.5), by seed 3.00x, 2.99x" in shown
    assert "usual / fast 8.99x" in shown
    assert "NOT IDLE" not in shown
    legs["fast", 1] = result("fast", 1, 300, "", reached=False, share=0.5)
    shown = measure.table(legs, options)
    assert "never (best 60.00%)   NOT IDLE: a leg had 50% of its cores" in shown
    assert "today / fast no ratio: one of them did not reach the target" in shown
    assert "by seed 3.00x, -" in shown
