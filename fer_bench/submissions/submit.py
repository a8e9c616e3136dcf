"""submit(): from a file of predictions to a row like any other, of kind *external*."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fer_bench.class_sets import cleaned
from fer_bench.errors import RecordError, SpecError
from fer_bench.predictions import Predictions
from fer_bench.results import provenance
from fer_bench.results.copies import checksums_of, note_present
from fer_bench.results.inputs import data_inputs
from fer_bench.results.record import Record
from fer_bench.results.store import Store
from fer_bench.scoring.record import scored
from fer_bench.submissions import caveats
from fer_bench.submissions.answers import Answers, read_answers
from fer_bench.submissions.ids import place
from fer_bench.submissions.questions import Questions, ask
from fer_bench.submissions.tables import read_table
from fer_bench.untrusted import shown

_LONGEST_NAME = 80
_URL = re.compile(r"https?://[!-;=?-~]{1,500}")


@dataclass(frozen=True)
class Statement:
    """What is said of predictions by whoever made them; none of it can be recomputed.

    Args:
        name: of the model, as the board shows it.
        reference: URL of a paper, repository or page; empty where there is none.
        trained_on: names of the data that it was trained on; empty where nothing is said.
        parameters: how many it has; None where nothing is said.
    """

    name: str
    reference: str = ""
    trained_on: tuple[str, ...] = ()
    parameters: int | None = None

    def __post_init__(self) -> None:
        if fault := _fault(self.name):
            problem = f"--name {shown(self.name, 40)!r} {fault}."
            raise SpecError(problem, "Give the name that the board should show, such as 'My network (ours)'.")
        if self.reference and not _URL.fullmatch(self.reference):
            problem = f"--reference {shown(self.reference, 60)!r} is no address that begins with http:// or https://."
            raise SpecError(problem, "Give the address of a paper, a repository or a page.")
        for name in self.trained_on:
            if fault := _fault(name):
                problem = f"--trained-on {shown(name, 40)!r} {fault}."
                raise SpecError(problem, "Name data sets, separated by commas: --trained-on AffectNet,fer2013.")
        if self.parameters is not None and not 0 < self.parameters < 10**15:
            problem = f"--parameters {self.parameters} is no number of parameters."
            raise SpecError(problem, "Give the number itself, not millions.")

    def facts(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {"reference": self.reference, "trained_on": list(self.trained_on)}


@dataclass(frozen=True)
class Submitted:
    """What became of a file.

    Args:
        record: as written, or as it was there already.
        new: whether it was written.
        n_missing: samples that the file does not answer.
        source: where the targets are from, in words.
    """

    record: Record
    new: bool
    n_missing: int
    source: str


@dataclass(frozen=True)
class Judged:
    """A file that answers the questions of a protocol, before anything is written.

    Args:
        draft: the record without scores.
        predictions: of the test split, NaN where the file has no answer.
        questions: that were asked.
    """

    draft: Record
    predictions: Predictions
    questions: Questions

    @property
    def n_missing(self) -> int:
        """Samples that the file does not answer."""
        return int(np.isnan(self.predictions.outputs).any(axis=1).sum())

    def scored(self) -> Record:
        """The record with its scores."""
        protocol = self.questions.protocol
        record = scored(self.draft, protocol, {"test": self.predictions})
        return record.model_copy(update={"caveats": caveats.with_perfect(record, protocol)})


def judge(
    store: Store,
    path: Path,
    protocol: str,
    statement: Statement,
    data_dir: str | None = None,
    options: Mapping[str, Any] | None = None,
) -> Judged:
    """Read a file and check it; the arguments and errors are those of :func:`submit`, and nothing is written."""
    table = read_table(path)
    questions = ask(store, protocol, data_dir, options)
    answers = read_answers(table, questions.protocol)
    predictions = questions.answered(_ordered(answers, questions))
    return Judged(_draft(questions, answers, statement, predictions, dict(options or {})), predictions, questions)


def submit(
    store: Store,
    path: Path,
    protocol: str,
    statement: Statement,
    *,
    data_dir: str | None = None,
    options: Mapping[str, Any] | None = None,
    force: bool = False,
) -> Submitted:
    """Score predictions of any program and write their record.

    Samples that the file does not answer count as wrong, of values as the middle of the scale. The same predictions
    under the same name are the same record, whatever the format, the order and the names of rows.

    Args:
        store: where the record goes.
        path: of the file, see :func:`fer_bench.submissions.tables.read_table`.
        protocol: its name, see :func:`fer_bench.submissions.questions.ask`.
        statement: what is said of the predictions.
        data_dir: where the dataset is.
        options: of the dataset.
        force: write the record anew where the same predictions were submitted with another statement.

    Raises:
        BadDataError: the file does not answer the questions; names the first row that is wrong. Nothing is written.
        SpecError: the same predictions are there with another statement.
        FerBenchError: no such protocol, or its targets are not on this machine.
    """
    judged = judge(store, path, protocol, statement, data_dir, options)
    draft, questions = judged.draft, judged.questions
    record = store.find_intact(draft.protocol, draft.model, draft.run_id)
    new = record is None or force
    if record is not None and not force:
        _require_same(record, draft)
    else:
        store.require_space()
        record = store.put(judged.scored(), {"test": judged.predictions})
    note_present(store, questions.protocol, checksums_of(record))
    return Submitted(record, new, judged.n_missing, questions.source)


def _ordered(answers: Answers, questions: Questions) -> npt.NDArray[np.float32]:
    """Outputs in the order of the samples; NaN where there is no answer."""
    at = place(answers, questions.ids.tolist(), questions.images)
    outputs = np.full((len(at), answers.outputs.shape[1]), np.nan, dtype=np.float32)
    outputs[at >= 0] = answers.outputs[at[at >= 0]]
    return outputs


def _draft(
    questions: Questions,
    answers: Answers,
    statement: Statement,
    predictions: Predictions,
    options: dict[str, Any],
) -> Record:
    protocol = questions.protocol
    run_id = _run_id(protocol.name, statement.name, questions, predictions)
    n_missing = int(np.isnan(predictions.outputs).any(axis=1).sum())
    return Record(
        run_id=run_id,
        row=run_id,
        kind="external",
        protocol=protocol.name,
        protocol_version=protocol.version,
        task=protocol.task.name,
        dataset=questions.dataset,
        model=statement.name,
        spec={"dataset_options": options} if options else {},
        data=questions.data,
        code=provenance.code(),
        training=statement.facts() | {"answers": answers.what, "targets": questions.source},
        parameters={} if statement.parameters is None else {"total": statement.parameters},
        caveats=caveats.of(protocol, statement.trained_on, questions.data),
        notes=caveats.notes(questions, answers.what, n_missing),
        inputs=data_inputs(questions.data),
    )


def _run_id(protocol: str, name: str, questions: Questions, predictions: Predictions) -> str:
    """Ten hexadecimal digits that stand for the name, the samples and their answers."""
    content = hashlib.sha256(json.dumps([protocol, name, questions.ids.tolist()]).encode())
    content.update(np.ascontiguousarray(predictions.targets).astype(np.float64).tobytes())
    content.update(np.ascontiguousarray(predictions.outputs).tobytes())
    return content.hexdigest()[:10]


def _require_same(there: Record, draft: Record) -> None:
    if there.kind != "external":
        problem = f"record {there.run_id} is there, and of another kind."
        raise RecordError(problem, "Give another --name.")
    stated = [
        (record.training.get("reference"), record.training.get("trained_on"), record.parameters)
        for record in (there, draft)
    ]
    if stated[0] != stated[1]:
        problem = (
            f"the same predictions are on record as {there.run_id}, with another reference, training data or number of"
            " parameters."
        )
        raise SpecError(problem, "Give --force to write what is said now, or leave these options as they were.")


def _fault(name: str) -> str | None:
    """What is wrong with a name that a board shows."""
    if not name.strip():
        return "is empty"
    if len(name) > _LONGEST_NAME:
        return f"has more than {_LONGEST_NAME} characters"
    if not name.isprintable() or name != name.strip():
        return "holds characters that cannot be printed, or begins or ends with blanks"
    return None if cleaned(name) != "unnamed" else "has no letter and no digit"
