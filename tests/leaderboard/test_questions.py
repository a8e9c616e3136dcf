"""Of ensembles that ask the same, the board shows the one that is best on validation, and names the others."""

from fer_bench.leaderboard.markdown import board_markdown
from fer_bench.leaderboard.rank import rank
from tests.leaderboard.fake_records import PROTOCOL, run

MIXTURE = {"rule": "soft", "selection": "mixture"}


def ensemble(row, validation, way=None, members=("r0-s0",), accuracy=0.6, **fields):
    made = run(accuracy, "ensemble", row, kind="ensemble", **fields)[0]
    spec = {**(way or MIXTURE), "n_members": len(members), "n_candidates": 9}
    training = {"members": [{"model": "net", "run_id": name, "weight": 1.0} for name in members]}
    return made.model_copy(update={"spec": spec, "training": training, "validation_metrics": {"accuracy": validation}})


def shown(*records):
    board = rank(PROTOCOL, records)
    return {placed.row.key for placed in board.placed}, [row.key for row in board.folded], board


def test_the_best_on_validation_stands_for_its_question_whatever_it_has_on_test():
    net = run(0.5)[0]
    lucky = ensemble("e1", 0.60, accuracy=0.7)
    kept, folded, board = shown(net, lucky, ensemble("e2", 0.62), ensemble("e3", 0.61))
    assert kept == {"r0", "e2"}
    assert folded == ["e1", "e3"]
    text = board_markdown(board, [])
    assert "2 more ensembles on record, not ranked" in text
    assert "Accuracy % of the others: [70.00](results/toy-fer7/ensemble/e1-s0.json)" in text
    # Ranks and tests are those of the rows that are shown.
    assert [placed.p_above is None for placed in board.placed] == [True, False]


def test_other_ways_other_candidates_and_other_caveats_are_other_questions():
    plain, viewed = run(0.5)[0], run(0.5, row="r1")[0]
    viewed = viewed.model_copy(update={"spec": viewed.spec | {"tta": 10}})
    records = [
        plain,
        viewed,
        ensemble("e1", 0.60),
        ensemble("e2", 0.61, way={"rule": "majority"}),
        ensemble("e3", 0.62, members=("r0-s0", "r1-s0")),
        ensemble("e4", 0.63, caveats=["selected on test"]),
    ]
    kept, folded, _ = shown(*records)
    assert kept == {"r0", "r1", "e1", "e2", "e3", "e4"}
    assert folded == []


def test_the_order_of_records_does_not_matter_and_equal_ones_go_by_name():
    records = [ensemble("e2", 0.6), ensemble("e1", 0.6), run(0.5)[0]]
    assert shown(*records)[:2] == shown(*reversed(records))[:2] == ({"r0", "e1"}, ["e2"])
