"""Submissions as files of a repository: answers with a statement beside them, recomputed and held against the claim."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fer_bench.errors import FerBenchError, SpecError
from fer_bench.escaping import markdown
from fer_bench.leaderboard.formatting import markdown_table
from fer_bench.metrics import METRICS, NONE, in_units
from fer_bench.results.protocol import protocol_of
from fer_bench.results.record import Record, plain_name
from fer_bench.results.store import Store
from fer_bench.scoring.rows import mean
from fer_bench.spec import read_yaml
from fer_bench.submissions.submit import Statement, judge, put
from fer_bench.untrusted import shown

KEYS = ("file", "protocol", "name", "reference", "trained_on", "parameters", "claim")
_NEEDED = ("file", "protocol", "name", "claim")


@dataclass(frozen=True)
class Claim:
    """A submission as its YAML file states it.

    Args:
        path: of the YAML file.
        files: of the answers, beside it; several are several seeds.
        protocol: its name.
        statement: what is said of the model.
        scores: claimed, by metric, in the units of records (shares, not per cent).
    """

    path: Path
    files: tuple[Path, ...]
    protocol: str
    statement: Statement
    scores: dict[str, float]


@dataclass(frozen=True)
class Checked:
    """What became of a claim.

    Args:
        path: of its YAML file.
        records: as recomputed, by seed; none where the answers cannot be scored.
        claimed: scores by metric.
        problems: in words; empty where all is well.
        on_record: whether the store has the records.
    """

    path: Path
    records: tuple[Record, ...]
    claimed: dict[str, float]
    problems: tuple[str, ...]
    on_record: bool = False


def read_claim(path: Path) -> Claim:
    """Read a statement.

    Raises:
        SpecError: a key is missing, unknown or of another kind.
    """
    content = read_yaml(path)
    for key in (*content, *_NEEDED):
        if key not in KEYS or key not in content:
            problem = f"{path}: the key {shown(repr(key), 40)} is {'unknown' if key not in KEYS else 'missing'}."
            raise SpecError(problem, f"A submission states {', '.join(KEYS)}.")
    scores = content["claim"]
    if not isinstance(scores, dict) or not scores or not all(map(_is_number, scores.values())):
        problem = f"{path}: claim: no mapping from metrics to scores."
        raise SpecError(problem, "For example claim: {accuracy: 0.6512}.")
    if unknown := [name for name in scores if str(name).rpartition("/")[2] not in METRICS]:
        problem = f"{path}: claim: {shown(repr(unknown[0]), 40)} is no metric."
        raise SpecError(problem, "`fer-bench list metrics` shows their names.")
    trained_on, parameters = content.get("trained_on") or [], content.get("parameters")
    if not isinstance(trained_on, list) or not (parameters is None or isinstance(parameters, int)):
        problem = f"{path}: trained_on is a list of names, and parameters an integer."
        raise SpecError(problem, "For example trained_on: [AffectNet] and parameters: 11170000.")
    files = content["file"] if isinstance(content["file"], list) else [content["file"]]
    try:
        found = tuple(path.parent / plain_name(str(file)) for file in files)
    except ValueError as error:
        problem = f"{path}: file {shown(repr(content['file']), 40)}: {error}."
        raise SpecError(problem, "The answers are in a file beside this one, or in a list of files.") from None
    if not found:
        problem = f"{path}: file: an empty list."
        raise SpecError(problem, "Name the file of the answers, or one for each seed.")
    statement = Statement(
        str(content["name"]), str(content.get("reference") or ""), tuple(map(str, trained_on)), parameters
    )
    return Claim(path, found, str(content["protocol"]), statement, {str(k): float(v) for k, v in scores.items()})


def check(store: Store, path: Path, data_dir: str | None = None, *, add: bool = False) -> Checked:
    """Recompute a submission and compare it with its claim.

    Args:
        store: with records of the protocol, where the dataset is not on this machine.
        path: of the YAML file.
        data_dir: where datasets are.
        add: put the record into the store where nothing is wrong.
    """
    claimed: dict[str, float] = {}
    try:
        claim = read_claim(path)
        claimed = claim.scores
        judged = judge(store, claim.files, claim.protocol, claim.statement, data_dir)
        records = tuple(one.scored() for one in judged)
        problems = tuple(_differences(records, claimed))
        if add and not problems:
            put(store, judged)
        known = [store.find_intact(record.protocol, record.model, record.run_id) for record in records]
        if any(old is not None and old.metrics != new.metrics for old, new in zip(known, records, strict=True)):
            problems += ("its record in the store has other scores",)
        return Checked(path, records, claimed, problems, None not in known)
    except FerBenchError as error:
        return Checked(path, (), claimed, (str(error),))


def _differences(records: Sequence[Record], claimed: dict[str, float]) -> Iterable[str]:
    for name, value in claimed.items():
        found = mean([record.metrics for record in records], name)
        if found is None:
            yield f"{name} is claimed, and is none of the scores of {records[0].protocol}"
        elif abs(found - value) > _rounding(value):
            yield f"{name} is claimed as {value:g}, and is {found:.6g}"


def _rounding(value: float) -> float:
    """Half of the last digit that a claim has."""
    digits = repr(value).partition(".")[2]
    return 0.5 * 10.0 ** -len(digits) + 1e-9 if digits.isdigit() else 1e-9


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def table(found: Sequence[Checked]) -> str:
    """What was found, as Markdown."""
    rows = []
    for one in found:
        record = next(iter(one.records), None)
        primary = "" if record is None else protocol_of(record).primary
        value = mean([of.metrics for of in one.records], primary)
        rows.append(
            [
                markdown(one.path.name),
                NONE if record is None else markdown(record.model),
                NONE if record is None else markdown(record.protocol),
                NONE if record is None else in_units(value, primary),
                "; ".join(f"{markdown(name)} {value:g}" for name, value in one.claimed.items()) or NONE,
                "; ".join(str(of.metrics.get("n_unanswered", 0)) for of in one.records) or NONE,
                NONE if record is None else markdown("; ".join(record.caveats)),
                markdown("; ".join(one.problems)) or ("agrees, on record" if one.on_record else "agrees"),
            ]
        )
    header = ["Submission", "Name", "Protocol", "Recomputed", "Claimed", "Unanswered", "Caveats", "Result"]
    right = [False, False, False, True, False, True, False, False]
    return markdown_table(header, rows, right) + "\n" if rows else "There is no submission to check.\n"
