"""A board's scores of single classes and of the training split, beside what papers print of them; pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fer_bench.escaping import markdown as escape
from fer_bench.leaderboard.claims import Claim, claims_on, where
from fer_bench.leaderboard.formatting import markdown_table, title
from fer_bench.leaderboard.per_class import STATISTICS, per_class
from fer_bench.leaderboard.rank import Board
from fer_bench.leaderboard.ranking import UNEVEN
from fer_bench.leaderboard.reported import Reported, ReportedRow, Statistic, Value
from fer_bench.metrics import NONE, number, unit_sign
from fer_bench.scoring.rows import mean, std

_ON_TRAIN = (UNEVEN, "accuracy", "macro_f1", "macro_ap")
Names = Mapping[tuple[str, str], str]


def by_class(board: Board, names: Names, reported: Sequence[Reported]) -> list[str]:
    """Recall, precision and F1 of each class on test, measured and as papers print them, where the classes are
    imbalanced.

    Args:
        board: the ranking.
        names: of its rows, by model and key.
        reported: claims of all papers.

    Returns:
        Paragraphs; none where there is nothing to show.
    """
    if board.protocol.task.labels is None or board.protocol.primary != UNEVEN:
        return []
    printed = _printed(board, claims_on(board.protocol, reported), on_train=False)
    tables = [*_measured(board, names, on_train=False), *printed]
    return ["## By class", *tables] if tables else []


def on_train(board: Board, names: Names, reported: Sequence[Reported]) -> list[str]:
    """Scores of the training split, of all classes together and of each; arguments and result as of
    :func:`by_class`.
    """
    if board.protocol.task.labels is None or board.protocol.primary != UNEVEN:
        return []
    printed = _printed(board, claims_on(board.protocol, reported), on_train=True)
    rows = []
    for placed in board.placed:
        found = [record.training.get("on_train") or {} for record in placed.row.records]
        if mean(found, UNEVEN) is not None:
            cells = [_mean_std(mean(found, name), std(found, name), name) for name in _ON_TRAIN]
            rows.append([escape(names[placed.row.model, placed.row.key]), *cells])
    header = ["Model", *(f"{title(name)}{unit_sign(name)}" for name in _ON_TRAIN)]
    measured = [markdown_table(header, rows, [False] + [True] * len(_ON_TRAIN))] if rows else []
    tables = [*measured, *_measured(board, names, on_train=True), *printed]
    about = (
        "Scores of the images that were trained on, as they are, at the epoch that is tested: how far above the test"
        " they are says how much was learned by heart. Nothing is ranked by them."
    )
    return ["## On the training split", about, *tables] if tables else []


def _measured(board: Board, names: Names, *, on_train: bool) -> list[str]:
    labels = board.protocol.task.labels
    assert labels is not None
    rows = []
    for placed in board.placed:
        found = per_class(placed.row, len(labels), on_train=on_train)
        # Of the training split records may have nothing.
        if not on_train or any(value is not None for scores in found for value in scores.values()):
            cells = [" / ".join(number(scores[name], UNEVEN) for name in STATISTICS) for scores in found]
            rows.append([escape(names[placed.row.model, placed.row.key]), *cells])
    if not rows:
        return []
    header = ["Model", *(escape(name) for name in labels.names)]
    about = "Recall / precision / F1 in %, means over seeds."
    return [about, markdown_table(header, rows, [False] + [True] * len(labels))]


def _printed(board: Board, claims: Sequence[Claim], *, on_train: bool) -> list[str]:
    labels = board.protocol.task.labels
    assert labels is not None
    rows = []
    for source, claim in claims:
        known = {labels.find(name): scores for name, scores in _stated(claim, on_train).items()}
        if known:
            cells = [_three(known[c]) if c in known else NONE for c in range(len(labels))]
            rows.append([escape(claim.model), escape(claim.setting) or NONE, *cells, where(source, claim)])
    if not rows:
        return []
    header = ["Model", "Setting", *(escape(name) for name in labels.names), "Where"]
    about = "As printed in papers, recall / precision / F1 in %; not measured here."
    return [about, markdown_table(header, rows, [False, False, *[True] * len(labels), False])]


def _stated(claim: ReportedRow, on_train: bool) -> Mapping[str, Mapping[Statistic, Value]]:
    return claim.train_per_class if on_train else claim.per_class


def _three(scores: Mapping[Statistic, Value]) -> str:
    return " / ".join(number(scores[name].mean if name in scores else None, UNEVEN) for name in STATISTICS)


def _mean_std(mean: float | None, deviation: float | None, name: str) -> str:
    return number(mean, name) + ("" if deviation is None else f" ± {number(deviation, name)}")
