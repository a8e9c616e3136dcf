"""A board as a file: CSV, JSON, Parquet, HTML, Markdown, LaTeX as a paper prints it, and BibTeX of what is cited."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from fer_bench.escaping import csv_cell
from fer_bench.escaping import markdown as escape
from fer_bench.leaderboard.claims import claims_on
from fer_bench.leaderboard.formatting import markdown_table, title
from fer_bench.leaderboard.reported import Source, read_reported
from fer_bench.leaderboard.table import table
from fer_bench.metrics import is_share, number
from fer_bench.protocols import Protocol, info_at_hand
from fer_bench.registry import unknown_name
from fer_bench.results.protocol import named_protocol
from fer_bench.results.store import Store

if TYPE_CHECKING:
    import pandas as pd

FORMATS = ("csv", "json", "parquet", "latex", "bibtex", "html", "md")
_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
}


def export(store: Store, protocol: str, kind: str, *, columns: Sequence[str] = (), top: int | None = None) -> bytes:
    """A protocol's ranked rows, the best first, as the bytes of a file.

    Args:
        store: of the records.
        protocol: its name.
        kind: of the file, one of :data:`FORMATS`. LaTeX has rank, name, score and parameters, the best score bold, the
            second underlined, and
            a dagger at rows that may be the best; BibTeX has the dataset and the papers with claims on the board.
        columns: of the table, in this order; all where none is named. LaTeX and BibTeX have their own.
        top: only so many rows.

    Raises:
        UnknownNameError: no such protocol, or no such column.
        RecordError: a damaged record.
    """
    chosen = named_protocol(protocol, store)
    if kind == "bibtex":
        return _bibtex(store, chosen).encode()
    found = table(store, chosen)
    found = found if top is None else found.head(top)
    if kind == "latex":
        return _latex(found, chosen).encode()
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
        return (found.to_json(orient="records", indent=1, force_ascii=False) + "\n").encode()
    if kind == "html":
        return (found.to_html(index=False, na_rep="", border=0) + "\n").encode()
    return (_markdown(found) + "\n").encode()


def _markdown(found: pd.DataFrame) -> str:
    import pandas as pd

    cells = [
        ["" if pd.isna(value) else escape(f"{value:.4f}" if isinstance(value, float) else str(value)) for value in line]
        for line in found.itertuples(index=False)
    ]
    right = [pd.api.types.is_numeric_dtype(found[column]) for column in found.columns]
    return markdown_table([escape(column) for column in found.columns], cells, right)


def _latex(found: pd.DataFrame, protocol: Protocol) -> str:
    import pandas as pd

    primary = protocol.primary
    values = found[primary].tolist()
    competing = [value for value, first in zip(values, found["rank"].isna(), strict=True) if not first]
    best = dict.fromkeys(sorted(competing, reverse=protocol.higher_is_better))
    order = list(best)
    lines = []
    for row in found.to_dict("records"):
        people = pd.isna(row["rank"])
        score = number(row[primary], primary)
        if not people and row[primary] == order[0]:
            score = rf"\textbf{{{score}}}"
        elif not people and len(order) > 1 and row[primary] == order[1]:
            score = rf"\underline{{{score}}}"
        if not pd.isna(row["std"]):
            score += rf" $\pm$ {number(row['std'], primary)}"
        if not people and row["rank"] == 1 and row[primary] != order[0]:
            score += r"$^\dagger$"
        parameters = "" if pd.isna(row["parameters"]) else f"{row['parameters'] / 1e6:.2f}"
        rank = "" if people else _range(row["rank"], row["last_rank"])
        lines.append(f"{rank} & {_latex_text(row['name'])} & {score} & {parameters} \\\\")
    unit = r" (\%)" if is_share(primary) else ""
    about = _latex_text(protocol.title or protocol.name)
    return "\n".join(
        [
            f"% {protocol.name}: needs the package booktabs. The dagger marks rows that may be the best: ranks are",
            "% ranges that hold together with 95 % confidence, over test samples and over training again.",
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{about}. $\dagger$: not significantly different from the best.}}",
            r"\begin{tabular}{rlrr}",
            r"\toprule",
            rf"Rank & Model & {_latex_text(title(primary))}{unit} & Parameters (M) \\",
            r"\midrule",
            *lines,
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
            "",
        ]
    )


def _range(first: object, last: object) -> str:
    return str(first) if first == last else f"{first}--{last}"


def _latex_text(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in text)


def _bibtex(store: Store, protocol: Protocol) -> str:
    info = info_at_hand(protocol.dataset)
    entries = [info.citation.strip()] if info is not None and info.citation else []
    for paper in read_reported(store.root / "reported"):
        if claims_on(protocol, [paper]):
            entries.append(_entry(paper.source))
    return "\n\n".join(dict.fromkeys(entries)) + "\n" if entries else ""


def _entry(source: Source) -> str:
    fields = {
        "title": f"{{{source.title}}}",
        "author": " and ".join(re.split(r",\s+", source.authors)),
        "year": str(source.year) if source.year else "",
        "url": source.url,
    }
    inner = ",\n".join(f"  {name} = {{{value}}}" for name, value in fields.items() if value)
    return f"@misc{{{source.short},\n{inner}\n}}"
