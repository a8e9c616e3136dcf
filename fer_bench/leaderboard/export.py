"""A board as a file: CSV, JSON, Parquet, HTML, Markdown, LaTeX as a paper prints it, and BibTeX of what is cited."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from fer_bench.errors import SpecError
from fer_bench.escaping import csv_cell, one_line
from fer_bench.escaping import markdown as escape
from fer_bench.leaderboard.claims import claims_on
from fer_bench.leaderboard.formatting import markdown_table, title
from fer_bench.leaderboard.rank import Board
from fer_bench.leaderboard.reported import Reported, Source, read_reported
from fer_bench.leaderboard.table import as_table, board_of
from fer_bench.metrics import is_share, number
from fer_bench.protocols import Protocol, info_at_hand
from fer_bench.registry import unknown_name
from fer_bench.results.protocol import named_protocol
from fer_bench.results.store import Store

if TYPE_CHECKING:
    import pandas as pd

# What a page has room for, in rows whose names are broken.
_ROWS_OF_A_TABLE = 20
# What the columns beside the name need, in the size of the font.
_BESIDE_NAMES = 22
FORMATS = ("csv", "json", "parquet", "latex", "bibtex", "html", "md")
_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    # Not a backslash in front: BibTeX counts such braces, too.
    "{": r"\textbraceleft{}",
    "}": r"\textbraceright{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    **{character: f"\\{character}" for character in "&%$#_"},
}


def export(store: Store, protocol: str, kind: str, *, columns: Sequence[str] = (), top: int | None = None) -> bytes:
    """A protocol's ranked rows, the best first, as the bytes of a file.

    Args:
        store: of the records.
        protocol: its name.
        kind: of the file, one of :data:`FORMATS`. LaTeX has rank, name, score and parameters, the best score bold, the
            second underlined, a dagger at rows that may be the best, and caveats as notes, of one copy of the data;
            BibTeX has the dataset and the papers with claims on the board.
        columns: of the table, in this order; all where none is named. LaTeX and BibTeX have their own.
        top: only so many rows.

    Raises:
        UnknownNameError: no such protocol, or no such column.
        SpecError: a column that is named twice; columns or rows of a file that has its own.
        RecordError: a damaged record.
    """
    _check(kind, columns, top)
    chosen = named_protocol(protocol, store)
    if kind == "bibtex":
        return bibtex(chosen, read_reported(store.root / "reported")).encode()
    return export_board(board_of(store, chosen), kind, columns=columns, top=top)


def export_board(board: Board, kind: str, *, columns: Sequence[str] = (), top: int | None = None) -> bytes:
    """A board that is ranked already; arguments and errors as of :func:`export`, BibTeX excepted."""
    if kind == "latex":
        # Ranks on different copies of the data say nothing of each other.
        return _latex(as_table(replace(board, others=())).head(top or len(board.placed)), board).encode()
    found = as_table(board)
    found = found if top is None else found.head(top)
    for column in columns:
        if column not in found.columns:
            raise unknown_name("column", column, list(found.columns))
    found = found[list(columns)] if columns else found
    if kind == "parquet":
        return bytes(found.to_parquet(index=False))
    if kind == "csv":
        named = found.map(lambda value: csv_cell(value) if isinstance(value, str) else value)
        return bytes(named.to_csv(index=False).encode())
    if kind == "json":
        # Not to_json, which rounds to ten digits.
        lines = [{name: _plain(value) for name, value in line.items()} for line in found.to_dict("records")]
        return (json.dumps(lines, indent=1, ensure_ascii=False) + "\n").encode()
    if kind == "html":
        shown = found.map(lambda value: one_line(value) if isinstance(value, str) else value)
        return (shown.to_html(index=False, na_rep="", border=0) + "\n").encode()
    return (_markdown(found) + "\n").encode()


def _check(kind: str, columns: Sequence[str], top: int | None) -> None:
    twice = [column for i, column in enumerate(columns) if column in columns[:i]]
    if twice:
        problem = f"column {twice[0]!r} is named twice."
        raise SpecError(problem, "Name every column once.")
    own = ["columns"] if columns and kind in ("latex", "bibtex") else []
    own += ["top"] if top is not None and kind == "bibtex" else []
    if own:
        problem = f"--{own[0]} changes nothing in a file of format {kind}."
        raise SpecError(problem, f"Leave out --{own[0]}, or choose csv, json, parquet, html or md.")


def _plain(value: Any) -> Any:
    """A cell as JSON has it."""
    import pandas as pd

    return None if pd.isna(value) else value


def _markdown(found: pd.DataFrame) -> str:
    import pandas as pd

    cells = [
        ["" if pd.isna(value) else escape(f"{value:.4f}" if isinstance(value, float) else str(value)) for value in line]
        for line in found.itertuples(index=False)
    ]
    right = [pd.api.types.is_numeric_dtype(found[column]) for column in found.columns]
    return markdown_table([escape(column) for column in found.columns], cells, right)


def _latex(found: pd.DataFrame, board: Board) -> str:
    import pandas as pd

    protocol, primary = board.protocol, board.protocol.primary
    values = found[primary].tolist()
    competing = [value for value, first in zip(values, found["rank"].isna(), strict=True) if not first]
    best = dict.fromkeys(sorted(competing, reverse=protocol.higher_is_better))
    order = list(best)
    lines = []
    notes: dict[str, int] = {}
    for row in found.to_dict("records"):
        people = pd.isna(row["rank"])
        score = number(row[primary], primary)
        if not people and row[primary] == order[0]:
            score = rf"\textbf{{{score}}}"
        elif not people and len(order) > 1 and row[primary] == order[1]:
            score = rf"\underline{{{score}}}"
        if not pd.isna(row["std"]):
            score += rf" $\pm$ {number(row['std'], primary)}"
        if board.test and not people and row["rank"] == 1 and row[primary] != order[0]:
            score += r"$^\dagger$"
        parameters = "" if pd.isna(row["parameters"]) else f"{row['parameters'] / 1e6:.2f}"
        rank = "" if people else _range(row["rank"], row["last_rank"])
        name = _latex_text(row["name"])
        if row["caveats"]:
            name += rf"$^{{{notes.setdefault(row['caveats'], len(notes) + 1)}}}$"
        lines.append(f"{rank} & {name} & {score} & {parameters} \\\\")
    unit = r" (\%)" if is_share(primary) else ""
    about = _latex_text(protocol.title or protocol.name) + "."
    if any(r"$^\dagger$" in line for line in lines):
        about += r" $\dagger$: not significantly different from the best."
    about += "".join(rf" $^{{{at}}}$ {_latex_text(caveats)}." for caveats, at in notes.items())
    tested = (
        f"Ranks are ranges that hold together with 95 % confidence, {board.test}."
        if board.test
        else "Differences were not tested: the order may be due to chance."
    )
    copy = f", copy {board.copy}" if board.copy else ""
    header = rf"Rank & Model & {_latex_text(title(primary))}{unit} & Parameters (M) \\"
    long = len(lines) > _ROWS_OF_A_TABLE
    packages = "array, booktabs and longtable" if long else "array and booktabs"
    return "\n".join(
        [
            f"% {one_line(protocol.name)}{copy}: needs the packages {packages}.",
            f"% {tested}",
            *(_long if long else _on_one_page)(about, header, lines),
            "",
        ]
    )


def _on_one_page(caption: str, header: str, lines: Sequence[str]) -> list[str]:
    return [
        r"\begin{table}",
        r"\centering",
        r"\small",
        rf"\caption{{{caption}}}",
        rf"\begin{{tabular}}{{{_COLUMNS}}}",
        *(r"\toprule", header, r"\midrule", *lines, r"\bottomrule"),
        r"\end{tabular}",
        r"\end{table}",
    ]


def _long(caption: str, header: str, lines: Sequence[str]) -> list[str]:
    """Over as many pages as it needs, each with the header; a float ends with its page."""
    return [
        r"\begingroup",
        r"\small",
        rf"\begin{{longtable}}{{{_COLUMNS}}}",
        rf"\caption{{{caption}}} \\",
        *(r"\toprule", header, r"\midrule", r"\endhead", r"\bottomrule", r"\endlastfoot", *lines),
        r"\end{longtable}",
        r"\endgroup",
    ]


# Names take what is left of the line, and are broken where that is not enough.
_COLUMNS = rf"r>{{\raggedright}}p{{\dimexpr\linewidth-{_BESIDE_NAMES}em\relax}}rr"


def _range(first: object, last: object) -> str:
    return str(first) if first == last else f"{first}--{last}"


def _latex_text(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in one_line(text))


def bibtex(protocol: Protocol, papers: Sequence[Reported]) -> str:
    """The dataset of a protocol, and the papers with claims on it; one that is both is there once."""
    info = info_at_hand(protocol.dataset)
    entries = [info.citation.strip()] if info is not None and info.citation else []
    known = _letters("".join(entries))
    sources = [
        paper.source
        for paper in papers
        if claims_on(protocol, [paper]) and not (_letters(paper.source.title) and _letters(paper.source.title) in known)
    ]
    keys: dict[str, int] = {}
    for source in dict.fromkeys(sources):
        key = re.sub(r"[^A-Za-z0-9:.+/-]", "_", source.short)
        keys[key] = keys.get(key, 0) + 1
        entries.append(_entry(source, key if keys[key] == 1 else f"{key}_{keys[key]}"))
    # Outside of entries, BibTeX skips what it reads.
    return "\n\n".join(entries or [f"{protocol.name}: no dataset and no paper is known."]) + "\n"


def _letters(text: str) -> str:
    """A text without what two bibliographies write in two ways."""
    return re.sub(r"\W+", "", text).lower()


def _entry(source: Source, key: str) -> str:
    authors = source.authors if " and " in source.authors else " and ".join(re.split(r",\s+", source.authors))
    fields = {
        "title": f"{{{_latex_text(source.title)}}}",
        "author": _latex_text(authors),
        "year": str(source.year) if source.year else "",
        "url": re.sub(r"[{}\s]+", "", source.url),
    }
    inner = ",\n".join(f"  {name} = {{{value}}}" for name, value in fields.items() if value)
    return f"@misc{{{key},\n{inner}\n}}"
