"""submit(): from files of predictions to a row like any other, of kind *external*."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fer_bench.class_sets import cleaned
from fer_bench.errors import RecordError, SpecError
from fer_bench.labels import plain
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
from fer_bench.submissions.tables import Table, read_table
from fer_bench.untrusted import shown

_LONGEST_NAME = 80
_URL = re.compile(r"https?://[!-;=?-~]{1,500}")


@dataclass(frozen=True)
class Statement:
    """What is said of predictions by whoever made them; none of it can be recomputed.

    Args:
        name: of the model, as the board shows it.
        reference: URL of a paper, repository or page; empty where there is none.
        trained_on: names of the data that it was trained on, each once; empty where nothing is said.
        parameters: how many it has; None where nothing is said.
        source: of a model that was run here, by which file, package and way of feeding it; empty where only
            predictions are here, which nobody can repeat.
        caveats: what else is shown beside the row.
    """

    name: str
    reference: str = ""
    trained_on: tuple[str, ...] = ()
    parameters: int | None = None
    source: dict[str, Any] = field(default_factory=dict)
    caveats: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        once: dict[str, str] = {}
        for name in self.trained_on:
            once.setdefault(plain(name), name)
        object.__setattr__(self, "trained_on", tuple(once.values()))
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
        stated = {"reference": self.reference, "trained_on": list(self.trained_on)}
        return stated | ({"source": self.source} if self.source else {})


@dataclass(frozen=True)
class Submitted:
    """What became of a file.

    Args:
        record: as written, or as it was there already.
        new: whether it was written.
        n_missing: samples that the file does not answer.
        questions: that were answered.
    """

    record: Record
    new: bool
    n_missing: int
    questions: Questions


@dataclass(frozen=True)
class Judged:
    """Answers to the questions of a protocol, before anything is written.

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
        """Samples without an answer."""
        return int(np.isnan(self.predictions.outputs).any(axis=1).sum())

    def scored(self) -> Record:
        """The record with its scores."""
        protocol = self.questions.protocol
        record = scored(self.draft, protocol, {"test": self.predictions})
        return record.model_copy(update={"caveats": caveats.with_perfect(record, protocol)})


def judge(
    store: Store,
    files: Sequence[Path | Table],
    protocol: str,
    statement: Statement,
    data_dir: str | None = None,
    options: Mapping[str, Any] | None = None,
) -> list[Judged]:
    """Read files and check them; the arguments and errors are those of :func:`submit`, and nothing is written."""
    tables = [file if isinstance(file, Table) else read_table(file) for file in files]
    questions = ask(store, protocol, data_dir, options)
    judged: list[Judged] = []
    for table in tables:
        answers = read_answers(table, questions.protocol, questions.asked)
        judged.append(judge_outputs(questions, _ordered(answers, questions), answers.what, statement))
    names = {one.draft.run_id: table for one, table in zip(reversed(judged), reversed(tables), strict=True)}
    if len(names) < len(judged):
        at = next(i for i, one in enumerate(judged) if names[one.draft.run_id] is not tables[i])
        problem = f"{tables[at].path} and {names[judged[at].draft.run_id].path} hold the same predictions."
        raise SpecError(problem, "Several files are several seeds of one network; leave one of these out.")
    return _seeds(judged)


def judge_outputs(questions: Questions, outputs: npt.NDArray[np.float32], what: str, statement: Statement) -> Judged:
    """Answers to the questions of a protocol, before they are scored.

    Args:
        questions: of the protocol.
        outputs: shape (N, C), one column for each of ``questions.columns``; NaN in rows without an answer.
        what: ``probabilities``, ``classes`` or ``values``.
        statement: what is said of them.
    """
    predictions = questions.answered(outputs)
    return Judged(_draft(questions, what, statement, predictions), predictions, questions)


def submit(
    store: Store,
    files: Sequence[Path | Table],
    protocol: str,
    statement: Statement,
    *,
    data_dir: str | None = None,
    options: Mapping[str, Any] | None = None,
    force: bool = False,
) -> list[Submitted]:
    """Score predictions of any program and write their records.

    Samples that a file does not answer count as wrong, of values as the middle of the scale. The same predictions
    under the same name are the same record, whatever the format, the order and the names of rows. Several files are
    several seeds of one row, whatever their order.

    Args:
        store: where the records go.
        files: at least one, see :func:`fer_bench.submissions.tables.read_table`.
        protocol: its name, see :func:`fer_bench.submissions.questions.ask`.
        statement: what is said of the predictions.
        data_dir: where the dataset is.
        options: of the dataset.
        force: write records anew where the same predictions were submitted with another statement.

    Returns:
        What became of each file, by seed.

    Raises:
        BadDataError: a file does not answer the questions; names the first row that is wrong. Nothing is written.
        SpecError: the same predictions are there with another statement.
        FerBenchError: no such protocol, or its targets are not on this machine.
    """
    return put(store, judge(store, files, protocol, statement, data_dir, options), force=force)


def put(store: Store, judged: Sequence[Judged], *, force: bool = False) -> list[Submitted]:
    """Score answers and write their records, all or none; those that are there already stay as they are, unless
    ``force`` is given.
    """
    there = [store.find_intact(one.draft.protocol, one.draft.model, one.draft.run_id) for one in judged]
    for one, record in zip(judged, there, strict=True):
        if record is not None and not force:
            _require_same(record, one.draft)
    done: list[Submitted] = []
    for one, record in zip(judged, there, strict=True):
        new = record is None or force
        if record is None or force:
            store.require_space()
            record = store.put(one.scored(), {"test": one.predictions})
        note_present(store, one.questions.protocol, checksums_of(record))
        done.append(Submitted(record, new, one.n_missing, one.questions))
    return done


def _seeds(judged: Sequence[Judged]) -> list[Judged]:
    """Several files as the seeds of one row, in an order that does not depend on that of the files."""
    if len(judged) == 1:
        return list(judged)
    ordered = sorted(judged, key=lambda one: one.draft.run_id)
    row = hashlib.sha256("\n".join(one.draft.run_id for one in ordered).encode()).hexdigest()[:10]
    return [
        replace(one, draft=one.draft.model_copy(update={"row": row, "seed": seed})) for seed, one in enumerate(ordered)
    ]


def _ordered(answers: Answers, questions: Questions) -> npt.NDArray[np.float32]:
    """Outputs in the order of the samples; NaN where there is no answer."""
    at = place(answers, questions.ids.tolist(), questions.images)
    outputs = np.full((len(at), answers.outputs.shape[1]), np.nan, dtype=np.float32)
    outputs[at >= 0] = answers.outputs[at[at >= 0]]
    return outputs


def _draft(questions: Questions, what: str, statement: Statement, predictions: Predictions) -> Record:
    protocol = questions.protocol
    run_id = _run_id(questions, predictions, statement)
    n_missing = int(np.isnan(predictions.outputs).any(axis=1).sum())
    stated = caveats.of(protocol, statement, questions.data)
    return Record(
        run_id=run_id,
        row=run_id,
        kind="external",
        protocol=protocol.name,
        protocol_version=protocol.version,
        task=protocol.task.name,
        dataset=questions.dataset,
        model=statement.name,
        spec={"dataset_options": questions.options} if questions.options else {},
        data=questions.data,
        code=provenance.code(),
        training=statement.facts() | {"answers": what, "targets": questions.source},
        parameters={} if statement.parameters is None else {"total": statement.parameters},
        caveats=[
            *stated,
            *caveats.outside(protocol, predictions.outputs),
            *caveats.narrow(protocol, predictions.outputs),
        ],
        notes=caveats.notes(questions, what, n_missing),
        inputs=data_inputs(questions.data),
    )


def _run_id(questions: Questions, predictions: Predictions, statement: Statement) -> str:
    """Ten hexadecimal digits that stand for the name, the samples and their answers; of a model that was run here, for
    the model instead of its answers, which are rounded differently on every machine.
    """
    asked: list[Any] = [questions.protocol.name, statement.name, questions.ids.tolist()]
    content = hashlib.sha256(json.dumps([*asked, statement.source] if statement.source else asked).encode())
    content.update(np.ascontiguousarray(predictions.targets).astype(np.float64).tobytes())
    if not statement.source:
        content.update(np.ascontiguousarray(predictions.outputs).tobytes())
    return content.hexdigest()[:10]


def _require_same(there: Record, draft: Record) -> None:
    if there.kind != "external":
        problem = f"record {there.run_id} is there, and of another kind."
        raise RecordError(problem, "Give another --name.")
    if (there.row, there.seed) != (draft.row, draft.seed):
        problem = f"the same predictions are on record as {there.run_id}, with other seeds beside them."
        raise SpecError(problem, "Give --force to write them anew with the files that are given now.")
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
