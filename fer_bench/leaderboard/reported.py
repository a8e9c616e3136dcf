"""What papers claim: ``leaderboards/reported/*.yaml``, read, checked and shown next to what was measured."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fer_bench.errors import SpecError
from fer_bench.findings import like, reason
from fer_bench.spec import read_yaml

T = TypeVar("T", bound=BaseModel)
Statistic = Literal["recall", "precision", "f1"]

Status = Literal[
    "reproduced",
    "reproduced lower",
    "splits exchanged",
    "selected on test",
    "test faces in training",
    "augmented copy",
    "not reproducible",
    "not checked",
]
"""What is known of a claim: repeated by others at the number that was printed, or at a lower one; validated on the
official test split and tested on the validation split; the best epoch or model chosen by its score on test; faces of
test, or copies of them, among those that it was trained on; made on a copy of the data that somebody had augmented;
code, weights or data are missing that one would need; nothing known either way.
"""
STATUSES: tuple[str, ...] = get_args(Status)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Value(_Strict):
    """A number as printed in a paper: mean, and standard deviation where one is given; shares between 0 and 1, not per
    cent.
    """

    mean: float
    std: float | None = Field(None, ge=0)


class Source(_Strict):
    """The paper.

    Args:
        year: None where the paper is undated.
        short: its name in tables.
    """

    title: str
    authors: str
    year: int | None = Field(None, ge=1900, le=2100)
    short: str
    url: str = ""


class Evidence(_Strict):
    """What a status rests on, so that a reader can look.

    Args:
        says: what is found there, in neutral words.
        url: where.
    """

    says: str = Field(min_length=1)
    url: str = Field(min_length=1)


class ReportedRow(_Strict):
    """One claim.

    Args:
        protocol: the leaderboard that it is shown on.
        model: by its name in this suite, where it has one.
        setting: what distinguishes it from the paper's other numbers of this model.
        metrics: on the paper's test set, or, called ``train_accuracy`` and the like, on another split; empty where it
            gives none.
        per_class: ``recall``, ``precision`` and ``f1`` of each class on the paper's test set, by the class' name.
        train_per_class: the same on its training split.
        notes: what a reader must know before comparing.
        location: table, figure or section of the paper.
        pretraining: what the network was trained on before; empty where the source does not say.
        extra_data: faces or labels beyond the dataset's own; likewise.
        views: how many views of a face are averaged; None where it is not said.
        members: networks that vote; 1 for a single one, None where it is not said.
        image_size: of the input, in pixels; None where it is not said.
        status: what is known of the claim; nothing known is ``not checked``.
        evidence: of the status; every status but ``not checked`` has some.
    """

    # It names a page: nothing that leads out of the folder of pages.
    protocol: Annotated[str, Field(max_length=200), like(r"[^./\\\x00-\x1f][^/\\\x00-\x1f]*", "the name of a protocol")]
    model: str = Field(min_length=1)
    setting: str = ""
    metrics: dict[str, Value] = {}
    per_class: dict[str, dict[Statistic, Value]] = {}
    train_per_class: dict[str, dict[Statistic, Value]] = {}
    notes: str = ""
    location: str = Field(min_length=1)
    pretraining: str = ""
    extra_data: str = ""
    views: int | None = Field(None, ge=1)
    members: int | None = Field(None, ge=1)
    image_size: int | None = Field(None, ge=1)
    status: tuple[Status, ...] = ()
    evidence: tuple[Evidence, ...] = ()


class Finding(_Strict):
    """A number of a study of labels, which has no leaderboard.

    Args:
        study: by its name in ``fer-bench study``.
        measure: what it is to be compared with, as that study names it.
        text: what it is, in words.
        value: as printed; a share between 0 and 1.
        notes: what a reader must know before comparing.
        location: table, figure or section of the paper.
    """

    study: str = Field(min_length=1)
    measure: str = Field(min_length=1)
    text: str = Field(min_length=1)
    value: float
    notes: str = ""
    location: str = Field(min_length=1)


class Reported(_Strict):
    """All claims of one paper, in the paper's order."""

    source: Source
    rows: tuple[ReportedRow, ...]
    findings: tuple[Finding, ...] = ()


def read_reported(folder: Path) -> list[Reported]:
    """Read the claims of all papers, by file name; a file is one paper, or a list of ``papers``.

    Raises:
        SpecError: an invalid file; names file, paper, row and key.
    """
    return [paper for path in sorted(folder.glob("*.yaml")) for paper in _read(path)]


def _read(path: Path) -> list[Reported]:
    content = read_yaml(path)
    if "papers" not in content:
        return [_paper(content, str(path))]
    papers = content["papers"]
    _known(content, ("papers",), str(path))
    if not isinstance(papers, list):
        problem = f"{path}: papers: expected a list of papers."
        raise SpecError(problem, "Each has source and rows.")
    return [_paper(paper, f"{path}, paper {i}") for i, paper in enumerate(papers, start=1)]


def _paper(content: Any, where: str) -> Reported:
    if not isinstance(content, dict):
        problem = f"{where}: expected source and rows, found {type(content).__name__}."
        raise SpecError(problem, "Write them as keys of a mapping.")
    _known(content, Reported.model_fields, where)
    rows = content.get("rows")
    if not isinstance(rows, list):
        problem = f"{where}: rows: expected a list of claims."
        raise SpecError(problem, "Each has protocol, model, metrics and location.")
    source = _check(Source, content.get("source"), f"{where}, source")
    findings = content.get("findings", [])
    if not isinstance(findings, list):
        problem = f"{where}: findings: expected a list."
        raise SpecError(problem, "Each has study, measure, text, value and location.")
    return Reported(
        source=source,
        rows=tuple(_row(row, f"{where}, row {i}") for i, row in enumerate(rows, start=1)),
        findings=tuple(_check(Finding, row, f"{where}, finding {i}") for i, row in enumerate(findings, start=1)),
    )


def _row(content: Any, where: str) -> ReportedRow:
    row = _check(ReportedRow, content, where)
    if {*row.status} - {"not checked"} and not row.evidence:
        problem = f"{where}: status: nothing shows that it is {', '.join(map(repr, row.status))}."
        raise SpecError(problem, "Add evidence: what is found (says) and where (url).")
    return row


def _known(content: dict[str, Any], names: Collection[str], where: str) -> None:
    for key in sorted(map(str, content.keys() - {*names})):
        problem = f"{where}: unknown key {key!r}."
        raise SpecError(problem, f"Known: {', '.join(names)}.")


def _check(model: type[T], content: Any, where: str) -> T:
    try:
        return model.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            fields = Value.model_fields if key.startswith("metrics.") else model.model_fields
            problem = f"{where}: unknown key {key!r}."
            raise SpecError(problem, f"Known: {', '.join(fields)}.") from None
        problem = f"{where}: {key + ': ' if key else ''}{reason(first)}."
        raise SpecError(problem, "Correct the value.") from None
