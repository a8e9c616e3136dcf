"""What a face costs: counted, timed, summed over views and members, and drawn."""

from __future__ import annotations

import json

import pytest
import torch
from torch import nn
from typer.testing import CliRunner

from fer_bench.apps.cost import cost_of_run
from fer_bench.cli.main import app
from fer_bench.leaderboard.boards import build_boards
from fer_bench.leaderboard.cost_picture import Point, draw, is_of, pareto_front, within
from fer_bench.leaderboard.cost_section import points_of
from fer_bench.leaderboard.costs import RowCost, cost_of, energy_of
from fer_bench.leaderboard.render import render_all
from fer_bench.results import costs
from fer_bench.spec import RunSpec
from fer_bench.training.hardware import resolve
from fer_bench.training.measure import measure, multiply_adds
from tests.apps.test_reproduce import alike
from tests.training.conftest import cache, finished, home, one_thread, tiny, trained  # noqa: F401


def test_multiply_adds_are_those_of_the_textbook():
    net = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 16 * 16, 7))
    assert multiply_adds(net, torch.zeros(1, 3, 16, 16)) == 3 * 8 * 9 * 16 * 16 + 8 * 16 * 16 * 7
    depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8)
    assert multiply_adds(depthwise, torch.zeros(1, 8, 16, 16)) == 8 * 9 * 16 * 16


def test_a_timing_names_its_device_and_threads(monkeypatch):
    monkeypatch.setattr("fer_bench.training.measure._SECONDS", 0.05)

    class Net(nn.Module):
        def forward(self, images):
            return images.float().mean(dim=(1, 2, 3))

    timing = measure(Net().eval(), (1, 48, 48), torch.device("cpu"), batch=4)
    assert (timing.device, timing.threads, timing.batch) == ("cpu", torch.get_num_threads(), 4)
    assert timing.latency > 0
    assert timing.throughput > 0


def test_a_run_is_measured_once_and_its_views_and_seeds_share_it(finished):  # noqa: F811
    _, record, store = finished
    before = {path: path.read_bytes() for path in store.results.rglob("*") if path.is_file()}
    result = CliRunner().invoke(app, ["cost", record.run_id, "--counted"], catch_exceptions=False)
    assert "M multiply-adds for one face" in result.output
    assert "kWh" in result.output
    assert {path: path.read_bytes() for path in store.results.rglob("*") if path.is_file()} == before
    (file,) = costs.files(store)
    cost = costs.Cost.load(file)
    assert cost.parameters == record.parameters["total"]
    assert cost.macs > 0
    known = {cost.key: cost}
    find = lambda network: known.get(costs.key_of(network))  # noqa: E731
    assert cost_of(record, find, lambda *_: None) == RowCost(cost.parameters, cost.macs)
    views = record.model_copy(update={"spec": {**record.spec, "tta": 10}})
    assert cost_of(views, find, lambda *_: None).macs == 10 * cost.macs
    ensemble = record.model_copy(
        update={
            "kind": "ensemble",
            "training": {"members": [{"model": "m", "run_id": "a"}, {"model": "m", "run_id": "b"}]},
        }
    )
    members = {"a": record, "b": views}
    assert cost_of(ensemble, find, lambda _, __, run: members[run]).macs == 11 * cost.macs
    assert cost_of(ensemble, find, lambda _, __, run: None) is None
    assert cost_of(record.model_copy(update={"kind": "human"}), find, lambda *_: None) is None
    # Dropout is no work of a test.
    plain = {**record.spec, "model_options": {"width": 4, "dropout": 0.9}}
    assert costs.network_of(record.model_copy(update={"spec": plain})) == cost.network
    other = {**record.spec, "model_options": {"width": 8}}
    assert costs.network_of(record.model_copy(update={"spec": other})) != cost.network


def test_a_network_that_nobody_trained(home):  # noqa: F811
    given = ["cost", "five_layer_cnn", "--dataset", "fer2013", "--image-size", "48", "--counted", "--set"]
    result = CliRunner().invoke(app, [*given, "model_options.width=4"], catch_exceptions=False)
    assert "input 1 x 48 x 48" in result.output
    assert CliRunner().invoke(app, ["cost", "no_such_net", "--counted"]).exit_code != 0
    assert CliRunner().invoke(app, ["cost"]).exit_code != 0


def test_energy_is_time_and_rated_power(finished):  # noqa: F811
    _, record, _ = finished
    on_gpu = record.model_copy(
        update={"training": {"seconds": 3600}, "hardware": {"gpu": "NVIDIA H100 80GB HBM3", "devices": 2}}
    )
    assert energy_of(on_gpu).kwh == pytest.approx(1.4)
    on_cpu = record.model_copy(update={"training": {"seconds": 3600}, "hardware": {"threads": 4, "gpu": None}})
    assert energy_of(on_cpu).kwh == pytest.approx(0.024)
    unknown = record.model_copy(update={"training": {"seconds": 3600}, "hardware": {"gpu": "Some Card"}})
    assert energy_of(unknown).kwh is None
    assert energy_of(record.model_copy(update={"training": {}})) is None


def test_a_cross_validation_was_trained_as_long_as_all_of_its_folds(finished, monkeypatch):  # noqa: F811
    _, record, store = finished
    own = {"training": {"seconds": 5 * 3600.0}, "hardware": {"threads": 4, "gpu": None}}
    whole = record.model_copy(update={"run_id": "whole", "data": {"folds": [record.run_id]}, **own})
    monkeypatch.setattr(store, "get", {"whole": whole, record.run_id: record}.__getitem__)
    found = cost_of_run(store, "whole", resolve(RunSpec(execution={"accelerator": "cpu"})), timed=False)
    assert found.energy.seconds == 5 * 3600
    assert found.energy.kwh == pytest.approx(0.12)


POINTS = [
    Point("small", "one view", 10**6, 60.0, 58.0, 62.0),
    Point("small, 10 views", "several views", 10**7, 62.0, 60.0, 64.0),
    Point("wasteful", "one view", 10**8, 61.0, 59.0, 63.0),
    Point("large", "ensemble", 10**9, 70.0, 68.0, 72.0),
]


def test_the_front_is_what_nothing_cheaper_beats():
    assert [point.name for point in pareto_front(POINTS)] == ["small", "small, 10 views", "large"]
    assert [point.name for point in pareto_front(POINTS, higher_is_better=False)] == ["small"]


@pytest.mark.draws
def test_a_picture_knows_what_it_shows():
    picture = draw(POINTS, "Accuracy %")
    assert picture.startswith("<?xml")
    for point in (POINTS[0], POINTS[3]):
        assert point.name in picture
    assert "wasteful" not in picture
    hopeless = Point("hopeless", "one view", 10**7, 20.0, 18.0, 22.0)
    assert within([*POINTS, hopeless]) == POINTS
    assert draw(POINTS, "Accuracy %") == picture
    assert is_of(picture, POINTS[::-1], "Accuracy %", True)
    assert not is_of(picture, POINTS[:3], "Accuracy %", True)
    assert not is_of(picture, POINTS, "CCC", True)


def test_a_board_has_a_picture_that_the_check_covers(finished):  # noqa: F811
    _, record, store = finished
    for seed, row in ((1, "b"), (2, "c")):
        spec = {**record.spec, "tta": seed, "recipe": row}
        alike(record.model_copy(update={"row": row, "recipe": row, "spec": spec}), store, seed, 0.3 + 0.1 * seed)
    CliRunner().invoke(app, ["cost", "--all", "--counted"], catch_exceptions=False)
    (board,) = (one for one in build_boards(store, []) if one.protocol.name == record.protocol)
    assert len(points_of(board)) == 3
    page, picture = store.root / f"{record.protocol}.md", store.root / "costs" / f"{record.protocol}.svg"
    assert f"(costs/{record.protocol}.svg)" in page.read_text()
    assert "Multiply-adds (M)" in page.read_text()
    assert not render_all(store, check=True)
    # Another version of the library draws otherwise; that is no reason to draw it anew.
    picture.write_text(picture.read_text().replace("</svg>", "<!-- --></svg>"))
    assert not render_all(store, check=True)
    (file,) = costs.files(store)
    file.write_text(json.dumps({**json.loads(file.read_text()), "macs": 5}))
    assert picture in render_all(store, check=True)
