import pytest
from typer.testing import CliRunner

from fer_bench.cli.main import app
from fer_bench.ensembles.strategies import WAYS
from fer_bench.errors import FerBenchError
from fer_bench.results.store import Store
from tests.ensembles.stored import PROTOCOL, fill


@pytest.fixture
def store():
    made = Store()
    fill(made, 3)
    return made


def call(*arguments):
    result = CliRunner().invoke(app, list(arguments))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_ensemble(store, tmp_path):
    result = call(
        "ensemble",
        "--protocol",
        PROTOCOL.name,
        "--members",
        "r0-s0,r1-s1",
        "--members",
        "r2-s2",
        "--top-k",
        "2",
        "--rule",
        "majority",
    )
    assert result.exit_code == 0
    made = next(record for record in store.records() if record.kind == "ensemble")
    assert result.output.startswith(f"{made.run_id}: toy-fer7 ensemble (majority vote, top 2 of 3 by validation): ")
    assert made.run_id in (store.root / "toy-fer7.md").read_text()
    call("ensemble", "--protocol", PROTOCOL.name, "--seed", "0", "--seed", "1", "--no-tta")
    assert {len(record.training["members"]) for record in store.records() if record.kind == "ensemble"} == {2}
    assert call("report", made.run_id, "--out", str(tmp_path / "out")).exit_code == 0
    assert (tmp_path / "out" / "report.html").is_file()
    assert (tmp_path / "out" / "members.png").is_file()


@pytest.mark.parametrize(
    "flags",
    [
        ["--top-k", "2"],
        ["--rule", "majority"],
        ["--selection", "mixture"],
        ["--selection", "greedy"],
        ["--selection", "stack"],
    ],
)
def test_the_gain_is_said_over_the_best_member_that_has_a_say(store, flags):
    output = call("ensemble", "--protocol", PROTOCOL.name, *flags).output
    made = next(record for record in store.records() if record.kind == "ensemble")
    scores = {
        entry["run_id"]: store.get(entry["run_id"]).metrics["accuracy"]
        for entry in made.training["members"]
        if entry["weight"]
    }
    best = max(scores, key=scores.__getitem__)
    line = next(line for line in output.splitlines() if line.startswith("gain"))
    assert line.startswith(f"gain        {made.metrics['accuracy'] - scores[best]:+.4f} over its best member on test, ")
    assert line.endswith(f"fer-bench compare {made.run_id} {best}")


def test_the_gain_is_not_said_over_who_was_not_asked(store):
    worst = sorted(store.records(), key=lambda record: record.metrics["accuracy"])[:2]
    output = call(
        "ensemble",
        "--protocol",
        PROTOCOL.name,
        "--members",
        ",".join(record.run_id for record in worst),
        "--rule",
        "majority",
    ).output
    assert f"/{worst[1].run_id} ({worst[1].metrics['accuracy']:.4f})" in output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["ensemble", "--protocol", "toi-fer7"], "unknown protocol 'toi-fer7'.*Did you mean 'toy-fer7'"),
        (["ensemble", "--protocol", "toy-fer7", "--rule", "mean"], "unknown rule 'mean'"),
        (["ensemble", "--protocol", "toy-fer7", "--top-k", "many"], "expected an integer"),
        (["ensemble", "--protocol", "fer2013-fer7"], "fer2013-fer7 has 0 that fit"),
        (["human-baseline", "fer2013"], "votes of single people"),
        (["report", "nothing"], "no record"),
    ],
)
def test_errors_say_what_is_wrong(store, arguments, message):
    with pytest.raises(FerBenchError, match=message):
        call(*arguments)


def test_ways_are_compared_on_validation_and_nothing_is_built(store):
    result = call("ensemble", "--protocol", PROTOCOL.name, "--compare")
    lines = result.output.splitlines()
    assert lines[0].startswith("toy-fer7: 3 members")
    assert [line.split("  ")[2] for line in lines[1:]] == [way.flags for way in WAYS]
    assert "--selection greedy --bags 20" in result.output
    assert not [record for record in store.records() if record.kind == "ensemble"]
