"""Records are laid out as a page: valid JSON, the same text for the same record, and unchanged to whoever reads it."""

import json
from pathlib import Path

import pytest

from fer_bench.results.layout import lay_out
from fer_bench.results.record import Record
from fer_bench.results.store import Store
from tests.leaderboard.fake_records import run

COMMITTED = Store(Path(__file__).parents[2] / "leaderboards").files()


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"a": [], "b": {}, "c": None, "d": 'é\n"\u2028'},
        {"long": [0.1] * 1000, "ints": list(range(1000))},
        {"of objects": [{"a": [1.5] * 50, "b": i} for i in range(9)], "matrix": [[i] * 60 for i in range(9)]},
        {"deep": {"er": {"and": {"deeper": ["x" * 50] * 9, "more": {f"k{i}": i for i in range(99)}}}}},
    ],
)
def test_it_is_the_same_json(content):
    assert json.loads(lay_out(content)) == content
    assert list(json.loads(lay_out(content))) == list(content)


def test_a_field_a_line_and_no_array_of_numbers_over_two():
    lines = lay_out(
        {"name": "x", "curve": [0.25] * 500, "confusion": [[100] * 40] * 3, "scores": {"a": 1, "b": [1, 2]}}
    ).split("\n")
    assert lines[0] == "{"
    assert lines[1] == ' "name": "x",'
    assert lines[2].startswith(' "curve": [0.25, 0.25,')
    assert lines[2].endswith("],")
    assert lines[3] == ' "confusion": ['
    assert lines[4] == f"  {[100] * 40},"
    assert lines[-3:] == [" ],", ' "scores": {"a": 1, "b": [1, 2]}', "}"]


def test_a_number_that_changes_is_a_line_that_changes():
    made = run(0.7)[0]
    before = made.to_json().split("\n")
    after = made.model_copy(update={"metrics": made.metrics | {"nll": 0.123}}).to_json().split("\n")
    assert len(before) == len(after)
    assert sum(a != b for a, b in zip(before, after, strict=True)) == 1


def test_committed_records_read_and_write_without_a_change_of_content():
    # Their files keep the layout that they were written in; what is written anew has the same content in this one.
    assert COMMITTED
    for path in COMMITTED:
        record = Record.load(path)
        text = record.to_json()
        assert Record.model_validate_json(text) == record
        assert text == Record.model_validate_json(text).to_json()
        assert json.loads(text) == json.loads(record.model_dump_json())
        assert text.count("\n") <= path.read_text().count("\n")
