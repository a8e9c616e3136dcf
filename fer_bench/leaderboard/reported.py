"""What papers claim: ``leaderboards/reported/*.yaml``, read, checked and shown next to what was measured."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fer_bench.errors import SpecError
from fer_bench.findings import like, reason
from fer_bench.spec import read_yaml

T = TypeVar("T", bound=BaseModel)


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


class ReportedRow(_Strict):
    """One claim.

    Args:
        protocol: the leaderboard that it is shown on.
        model: by its name in this suite, where it has one.
        setting: what distinguishes it from the paper's other numbers of this model.
        metrics: on the paper's test set; empty where it gives none.
        notes: what a reader must know before comparing.
        location: table, figure or section of the paper.
    """

    # It names a page: nothing that leads out of the folder of pages.
    protocol: Annotated[str, Field(max_length=200), like(r"[^./\\\x00-\x1f][^/\\\x00-\x1f]*", "the name of a protocol")]
    model: str = Field(min_length=1)
    setting: str = ""
    metrics: dict[str, Value] = {}
    notes: str = ""
    location: str = Field(min_length=1)


class Reported(_Strict):
    """All claims of one paper, in the paper's order."""

    source: Source
    rows: tuple[ReportedRow, ...]


def read_reported(folder: Path) -> list[Reported]:
    """Read the claims of all papers, by file name.

    Raises:
        SpecError: an invalid file; names file, row and key.
    """
    return [_read(path) for path in sorted(folder.glob("*.yaml"))]


def _read(path: Path) -> Reported:
    content = read_yaml(path)
    for key in sorted(content.keys() - Reported.model_fields.keys()):
        problem = f"{path}: unknown key {key!r}."
        raise SpecError(problem, f"Known: {', '.join(Reported.model_fields)}.")
    rows = content.get("rows")
    if not isinstance(rows, list):
        problem = f"{path}: rows: expected a list of claims."
        raise SpecError(problem, "Each has protocol, model, metrics and location.")
    source = _check(Source, content.get("source"), f"{path}, source")
    return Reported(
        source=source, rows=tuple(_check(ReportedRow, row, f"{path}, row {i}") for i, row in enumerate(rows, start=1))
    )


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
