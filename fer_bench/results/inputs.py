"""What a result is a result of: the fingerprint of its inputs, and every answer to "is this done?" and "may this be
resumed?".

A fingerprint names, by digest, the content of every split, the assignment of samples to folds, and whatever code or
model comes from outside the package (initial weights, a face detector, plugins). The settings are in a run's id.
Records keep theirs as ``inputs``, a folder of a training as ``inputs.json``.

Records from before there was a fingerprint have none. They are compared by what they do state, the checksums of their
splits; a folder that states nothing is never resumed from, nor scored for a new record.

The digest of ImageNet's weights is known only where they are: without them, and of records from before it was kept,
nothing says that they are others. Nor does anything where the records of a student's teachers are not looked at.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fer_bench.atomic import write_atomically
from fer_bench.plugins import CODE
from fer_bench.results.places import in_place
from fer_bench.results.record import Record
from fer_bench.results.store import Store

Inputs = dict[str, str]
FILE = "inputs.json"
NETWORK = "network"
WEIGHTS = "weights"
# Before the run id of a network that a student was distilled from.
TEACHER = "teacher "
_SUFFIX = "-x"
_SPLITS = ("train", "validation", "test", "all")
_ORDER = "order of "
_PEOPLE = "people"
# The test split and its labels decide a score, and who is on the images an interval, not the weights that training ends
# with.
_ONLY_TESTED = frozenset({"test", _ORDER + "test", _PEOPLE})


def data_inputs(facts: Mapping[str, Any]) -> Inputs:
    """The part of a fingerprint that is the data's, from :func:`fer_bench.data.provenance.data_facts`."""
    found = dict(facts.get("checksums") or {})
    if assignment := (facts.get("fold") or {}).get("assignment"):
        found["folds"] = assignment
    found |= {_ORDER + split: value for split, value in (facts.get("order") or {}).items()}
    if people := facts.get("people_by_sample"):
        found[_PEOPLE] = people
    if plugin := facts.get("plugin"):
        found[CODE + "dataset"] = str(plugin["sha256"])[:16]
    return found | dict(facts.get("models") or {})


def digest(inputs: Mapping[str, str]) -> str:
    """Six hexadecimal digits of a fingerprint."""
    return hashlib.sha256(json.dumps(dict(inputs), sort_keys=True, separators=(",", ":")).encode()).hexdigest()[:6]


def stated(record: Record) -> tuple[Inputs, bool]:
    """A record's fingerprint, and whether it is whole; an older record states only its splits."""
    if record.inputs:
        return record.inputs, True
    return {name: value for name, value in (record.data.get("checksums") or {}).items() if name in _SPLITS}, False


def is_of(record: Record, inputs: Mapping[str, str]) -> bool:
    """Whether a record was made from these inputs."""
    return _matches(*stated(record), inputs)


def find_done(
    store: Store,
    protocol: str,
    model: str,
    plain: str,
    inputs: Mapping[str, str],
    statuses: Sequence[str] = ("finished",),
) -> Record | None:
    """The finished record of a run on these inputs, with its predictions whole; None where the run has still to be
    done.

    Args:
        store: where records are.
        protocol: name of the protocol.
        model: name of the model.
        plain: the run's id by its settings alone.
        inputs: its fingerprint.
        statuses: what counts as done.
    """
    found = (store.find_intact(protocol, model, run_id) for run_id in _ids_of_settings(store, protocol, model, plain))
    return next(
        (record for record in found if record is not None and record.status in statuses and is_of(record, inputs)), None
    )


def run_id_for(
    store: Store, protocol: str, model: str, plain: str, inputs: Mapping[str, str], known_copy: bool | None
) -> str:
    """The id under which a run on these inputs is recorded.

    The plain id is that of the copy which the protocol ranks or, where none is declared, of the first on which any seed
    was run; every other has its fingerprint after it, so that no record ever overwrites one on other data, and no row
    has seeds of two copies.

    Args:
        store: where records are.
        protocol: name of the protocol.
        model: name of the model.
        plain: the run's id by its settings alone.
        inputs: its fingerprint.
        known_copy: whether it is the copy that the protocol ranks; None where it declares none.
    """
    for record in _of_settings(store, protocol, model, plain):
        if is_of(record, inputs):
            return record.run_id
    return (
        plain + _SUFFIX + digest(inputs)
        if known_copy is False or _is_taken(store, protocol, model, plain, inputs)
        else plain
    )


def on_same_data(record: Record, inputs: Mapping[str, str]) -> bool:
    """Whether a record was made from the data of these inputs, whatever weights either began with, whoever taught it
    and whatever other code than the dataset's is from outside.
    """
    known, whole = stated(record)
    own, other = ({name: value for name, value in each.items() if _is_of_the_data(name)} for each in (known, inputs))
    return _matches(own, whole, other)


def on_same_splits(record: Record, inputs: Mapping[str, str]) -> bool:
    """Whether what is validated and tested with these inputs is what was when a record was made: in whatever order,
    whoever is on it, and for whatever task.
    """
    known, whole = stated(record)
    of_splits = {*_SPLITS, "folds", CODE + "dataset"}
    own, other = ({name: each[name] for name in of_splits & each.keys()} for each in (known, inputs))
    return _matches(own, whole, other)


def _is_of_the_data(name: str) -> bool:
    if name.startswith(CODE):
        return name == CODE + "dataset"
    return name not in (WEIGHTS, NETWORK) and not name.startswith(TEACHER)


def evaluated_id(
    store: Store, protocol: str, model: str, plain: str, inputs: Mapping[str, str], known_copy: bool | None
) -> str:
    """As :func:`run_id_for`, of a network's test on another dataset: the same network trained once more replaces its
    own record.
    """
    for record in _of_settings(store, protocol, model, plain):
        if _is_of_data(record, inputs):
            return record.run_id
    return run_id_for(store, protocol, model, plain, inputs, known_copy)


def any_record(store: Store, protocol: str, model: str, plain: str) -> bool:
    """Whether there is a record of these settings, of whatever inputs."""
    return bool(_of_settings(store, protocol, model, plain))


def training_folder(root: Path, name: str, inputs: Mapping[str, str]) -> Path:
    """The folder of a training on these inputs: the plain one where it is free or theirs, else a separate one.

    Args:
        root: of all trainings.
        name: of the training, from its settings.
        inputs: fingerprint of a run of it.
    """
    plain = root / name
    return plain if _is_free(plain) or may_resume(plain, inputs) else root / f"{name}-i{digest(of_training(inputs))}"


def recorded_folder(root: Path, name: str, record: Record) -> Path:
    """The folder in which the training of a record is, or would be; a folder that states other inputs is never taken
    for it.
    """
    plain = root / name
    if not record.inputs or may_resume(plain, record.inputs):
        return plain
    return root / f"{name}-i{digest(of_training(record.inputs))}"


def of_training(inputs: Mapping[str, str]) -> Inputs:
    """The inputs that decide the weights that a training ends with."""
    return {name: value for name, value in inputs.items() if name not in _ONLY_TESTED}


def may_resume(folder: Path, inputs: Mapping[str, str]) -> bool:
    """Whether what is in a training's folder was made from these inputs."""
    return (folder / FILE).is_file() and marked(folder) == of_training(inputs)


def marked(folder: Path) -> Inputs:
    """What a training's folder says that it is of; nothing where it says nothing."""
    try:
        found = json.loads((folder / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def mark(folder: Path, inputs: Mapping[str, str]) -> None:
    """Write down what a folder's training is of, before its first epoch."""
    write_atomically(folder / FILE, (json.dumps(of_training(inputs), indent=1, sort_keys=True) + "\n").encode())


def _is_free(folder: Path) -> bool:
    return not any((folder / name).exists() for name in (FILE, "last.ckpt", "best.ckpt", "trained.json"))


def _is_taken(store: Store, protocol: str, model: str, plain: str, inputs: Mapping[str, str]) -> bool:
    """Whether a seed of the same settings has been run on other data under its plain id."""
    folder = store.path(protocol, model, plain).parent
    any_seed = re.compile(re.sub(r"-s\\?\d+", r"-s\\d+", re.escape(plain).replace("\\-s", "-s"), count=1))
    for path in folder.glob(f"{plain.partition('-')[0]}*.json"):
        if any_seed.fullmatch(path.stem) and (record := in_place(path)) is not None and not _is_of_data(record, inputs):
            return True
    return False


def _matches(known: Mapping[str, str], whole: bool, inputs: Mapping[str, str]) -> bool:
    """Whether what a record states is these inputs: all of them, in their weights as far as both state them; of an
    older record what there is.
    """
    if not whole:
        return bool(known) and all(inputs.get(name) == value for name, value in known.items())
    unstated = {name for name in known.keys() ^ inputs.keys() if name == WEIGHTS or name.startswith(TEACHER)}
    return all(known.get(name) == inputs.get(name) for name in (known.keys() | inputs.keys()) - unstated)


def _is_of_data(record: Record, inputs: Mapping[str, str]) -> bool:
    """As :func:`is_of`, whichever network was tested."""
    known, whole = stated(record)
    return _matches({name: value for name, value in known.items() if name != NETWORK}, whole, inputs)


def _of_settings(store: Store, protocol: str, model: str, plain: str) -> list[Record]:
    """Records of the same settings on any inputs, the plain one first; a damaged one, or one in the file of another, is
    none.
    """
    paths = (store.path(protocol, model, run_id) for run_id in _ids_of_settings(store, protocol, model, plain))
    return [record for path in paths if (record := in_place(path)) is not None]


def _ids_of_settings(store: Store, protocol: str, model: str, plain: str) -> list[str]:
    names = [path.stem for path in store.path(protocol, model, plain).parent.glob(f"{plain}*.json")]
    own = [name for name in names if name == plain or re.fullmatch(re.escape(plain + _SUFFIX) + "[0-9a-f]{6}", name)]
    return sorted(own, key=lambda name: (name != plain, name))
