"""A paper's page: what it claims, beside what was measured here; pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from fer_bench.leaderboard.claims import setting_of
from fer_bench.leaderboard.formatting import URL, short_score
from fer_bench.leaderboard.rank import Board
from fer_bench.leaderboard.ranking import KINDS, kind_of
from fer_bench.leaderboard.reported import Evidence, Reported, ReportedRow
from fer_bench.metrics import NONE, number, unit_sign
from fer_bench.scoring.rows import Row
from fer_bench.site import addresses
from fer_bench.site.table import name_of

_MOST = 4
_UNKNOWN = "not checked"


def claim_id(number_of: int) -> str:
    """Anchor of a claim on its paper's page, counted from 1."""
    return f"claim-{number_of}"


def paper_page(paper: Reported, boards: Mapping[str, Board]) -> dict[str, Any]:
    """What the template of a paper's page gets.

    Args:
        paper: its claims.
        boards: by protocol.
    """
    return {
        "source": paper.source,
        "url": paper.source.url if URL.fullmatch(paper.source.url) else "",
        "claims": [_claim(i, claim, boards.get(claim.protocol)) for i, claim in enumerate(paper.rows, start=1)],
        "findings": paper.findings,
    }


def scores_of(claim: ReportedRow) -> list[tuple[str, str]]:
    """What is claimed, by the name of the metric, as text with its unit."""
    found = []
    for name, value in claim.metrics.items():
        spread = "" if value.std is None else f" ± {number(value.std, name)}"
        split, _, rest = name.partition("_")
        title = f"{name_of(rest)} on {split}" if split in ("train", "validation") else name_of(name)
        found.append((title, f"{number(value.mean, name)}{spread}{unit_sign(name)}"))
    return found


def _claim(i: int, claim: ReportedRow, board: Board | None) -> dict[str, Any]:
    return {
        "id": claim_id(i),
        "claim": claim,
        "setting": setting_of(claim),
        "status": ", ".join(claim.status) or _UNKNOWN,
        "scores": scores_of(claim),
        "evidence": [(one.says, _address(one)) for one in claim.evidence],
        "board": (board.protocol.title or board.protocol.name, addresses.board(board.protocol.name)) if board else None,
        "measured": list(_measured(claim, board)) if board else [],
    }


def _address(evidence: Evidence) -> str:
    return evidence.url if URL.fullmatch(evidence.url) else ""


def _measured(claim: ReportedRow, board: Board) -> Iterable[tuple[str, str, str, str]]:
    """Rows of the same network, the best first; else the best row of each kind of single network."""
    primary = board.protocol.primary
    names = board.names
    same = [placed.row for placed in board.placed if placed.row.model == claim.model][:_MOST]
    for row in same or _best_single(board):
        said = "same network" if same else KINDS[kind_of(row)].title.lower()
        text = f"{name_of(primary)} {short_score(row, primary)}{unit_sign(primary)}"
        yield names[row.model, row.key], text, addresses.row(row), said


def _best_single(board: Board) -> Sequence[Row]:
    found: dict[str, Row] = {}
    for placed in board.placed:
        if kind_of(placed.row) in ("single", "views"):
            found.setdefault(kind_of(placed.row), placed.row)
    return list(found.values())


def claims_of(board: Board, reported: Iterable[Reported]) -> list[dict[str, Any]]:
    """The claims on a board's protocol, or on the plain one that it is a variant of, the highest first."""
    protocol = board.protocol
    found = []
    for paper in reported:
        for i, claim in enumerate(paper.rows, start=1):
            if claim.protocol in (protocol.name, protocol.plain_name):
                value = claim.metrics.get(protocol.primary)
                page = addresses.paper(paper.source)
                found.append(
                    {
                        "model": claim.model,
                        "setting": setting_of(claim),
                        "paper": paper.source.short,
                        "year": paper.source.year,
                        "page": page,
                        "anchor": claim_id(i),
                        "status": ", ".join(claim.status) or _UNKNOWN,
                        "value": None if value is None else value.mean,
                        "text": NONE if value is None else number(value.mean, protocol.primary),
                        "pretraining": claim.pretraining,
                    }
                )
    sign = -1 if protocol.higher_is_better else 1
    return sorted(found, key=lambda claim: (claim["value"] is None, sign * (claim["value"] or 0.0)))
