"""The table of networks trained on one dataset and tested on others: what is in each cell, and what is not."""

from __future__ import annotations

import pytest

from fer_bench.errors import UnknownNameError
from fer_bench.leaderboard.matrix import chosen, collect, draw, to_markdown
from tests.leaderboard.fake_records import record


def made(kind, dataset, task, row, accuracy, n):
    return record("net", row).model_copy(
        update={
            "kind": kind,
            "dataset": dataset,
            "task": task,
            "protocol": f"{dataset}-{task}",
            "metrics": {"accuracy": accuracy},
            "n_scored": n,
        }
    )


@pytest.fixture
def records():
    return [
        made("trained", "fer2013", "fer7", "a", 0.65, 3589),
        made("evaluated", "ferplus", "fer8-via-fer7", "a-on-ferplus", 0.7, 3137),
        made("evaluated", "expw", "fer7", "a-on-expw", 0.4, 5705),
        made("trained", "ferplus", "fer8", "b", 0.8, 3153),
        made("evaluated", "fer2013", "fer7-via-fer8", "b-on-fer2013", 0.55, 3589),
    ]


@pytest.mark.draws
def test_cells_say_how_many_samples_and_which_classes(records):
    cells = collect(records, "net")
    assert cells["fer2013-fer7"]["ferplus"].excluded == ("contempt",)
    assert cells["fer2013-fer7"]["ferplus"].unused == ()
    assert cells["ferplus-fer8"]["fer2013"].unused == ("contempt",)
    page = to_markdown(cells, "net")
    assert "70.00 (n 3,137, 1 seed, without contempt)" in page
    assert "55.00 (n 3,589, 1 seed; contempt never the answer)" in page
    assert "Not measured: ferplus-fer8 on expw." in page
    assert draw(cells, "net").startswith(b"\x89PNG")


def test_cells_say_the_caveats_of_their_rows(records):
    records[1] = records[1].model_copy(update={"caveats": ["extra labels"]})
    page = to_markdown(collect(records, "net"), "net")
    assert "70.00 (n 3,137, 1 seed, without contempt; extra labels)" in page
    assert page.count("extra labels") == 1


def test_of_several_recipes_the_one_that_was_tested_on_most_of_them(records):
    better = made("trained", "fer2013", "fer7", "c", 0.7, 3589)
    elsewhere = [
        made("evaluated", "caers", "fer7", "c-on-caers", 0.3, 100),
        made("evaluated", "sfew", "fer7", "c-on-sfew", 0.3, 100),
        made("evaluated", "rafdb", "fer7", "c-on-rafdb", 0.3, 100),
    ]

    def own(*datasets):
        return collect([*records, better, *elsewhere], "net", datasets=datasets)["fer2013-fer7"]["fer2013"]

    assert own("fer2013", "ferplus", "expw").mean == 0.65
    assert own().mean == own("caers").mean == 0.7


def test_scores_under_two_protocols_of_a_dataset_are_no_seeds_of_each_other(records):
    again = made("evaluated", "ferplus", "fer7", "a-on-ferplus", 0.5, 3000)
    other_copy = made("evaluated", "ferplus", "fer8-via-fer7", "a-on-ferplus-xab", 0.1, 3100)
    second_seed = made("evaluated", "ferplus", "fer8-via-fer7", "a-on-ferplus", 0.74, 3137)
    cell = collect([again, other_copy, *records, second_seed], "net")["fer2013-fer7"]["ferplus"]
    assert (cell.mean, cell.seeds, cell.n, cell.protocol) == (pytest.approx(0.72), 2, 3137, "ferplus-fer8-via-fer7")


def test_datasets_are_shown_in_the_order_that_is_asked_for(records):
    cells = chosen(collect(records, "net"), ["ferplus", "fer2013"])
    assert list(cells) == ["ferplus-fer8", "fer2013-fer7"]
    header = next(line for line in to_markdown(cells, "net").splitlines() if line.startswith("| trained on"))
    assert header == "| trained on | tested on ferplus | tested on fer2013 |"
    assert "Not measured" not in to_markdown(cells, "net")
    with pytest.raises(UnknownNameError, match="expw"):
        chosen(collect(records, "net"), ["fer2013", "expww"])
