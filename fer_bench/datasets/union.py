"""Several datasets as one, to be trained on together: ``--dataset fer2013+expw``.

Labels are mapped by name, and samples without a counterpart are left out. All images get one form, which says nothing
of their sources: grey where a source is grey, and the smallest side of them unless another is asked for. Before
anything else, faces of train and validation that are near-duplicates of a test face of *any* source are found: a
network that is tested on one source must not have seen its faces through another.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import numpy.typing as npt

from fer_bench.data import cache
from fer_bench.data.datamodule import AffectDataModule
from fer_bench.data.decoding import resize
from fer_bench.data.duplicates import NEAR, copies_of_test
from fer_bench.data.samples import ATTRIBUTE, SPLITS, Images, Samples, names_digest
from fer_bench.datasets.load import dataset_class
from fer_bench.errors import BadDataError, SpecError
from fer_bench.labels import class_map
from fer_bench.protocols import find_task, info_of, part_task, parts_of
from fer_bench.protocols.union import UnionOptions

if TYPE_CHECKING:
    from fer_bench.data.batches import EpochSampler

SOURCE = f"{ATTRIBUTE}source"


class UnionDataModule(AffectDataModule):
    """Several datasets as one; its options are :class:`fer_bench.protocols.union.UnionOptions`."""

    def read(self) -> Samples:
        """Read every source, map its labels, and leave out what a test face of any of them has a duplicate of."""
        options = self._options()
        if self.folding is not None:
            problem = f"dataset {self.name!r}: folds are cut within a source, not over all of them."
            raise SpecError(problem, "Name them with it, for example --set 'dataset_options.expw={fold: 1}'.")
        parts = [self._part(name, options.of(name)) for name in parts_of(self.name)]
        joined = _join(self.name, parts, self.task, self.image_size)
        return _without_seen(joined, options.union_duplicates)

    def _options(self) -> UnionOptions:
        model = info_of(self.name).options
        assert model is not None
        found = self.chosen(model)
        assert isinstance(found, UnionOptions)
        return found

    def _part(self, name: str, options: Mapping[str, Any]) -> _Part:
        task = part_task(name, self.task)
        module = dataset_class(name).reading(
            task, name=name, data_dir=self.data_dir, image_size=self.image_size, seed=self.seed, options=dict(options)
        )
        module.setup()
        return _mapped(name, module.read_samples, task, self.task)

    def _train_sampler(self, n: int, rank: int, world: int) -> EpochSampler:
        if not self._options().union_balance:
            return super()._train_sampler(n, rank, world)
        from fer_bench.data.batches import BalancedSampler

        samples = self.read_samples
        source = samples.columns[SOURCE][samples.where("train")].astype(str)
        return BalancedSampler(source, self.seed, rank=rank, world=world)


@dataclass(frozen=True)
class _Part:
    """One source: its samples with a label of the task, their class ids, and how many of which classes have none."""

    name: str
    samples: Samples
    labels: npt.NDArray[np.int64]
    left_out: dict[str, int]


def _mapped(name: str, samples: Samples, own: str, task: str) -> _Part:
    target, source = find_task(task).labels, find_task(own).labels
    if target is None or source is None:
        problem = f"task {task!r}: datasets are joined by the names of their classes, and {name} has none for it."
        raise SpecError(problem, "Choose a task of classes, such as fer7.")
    labels = class_map(source, target)[samples.targets[own].astype(np.int64)]
    if not (labels >= 0).any():
        problem = f"dataset {name!r} has no class of the task {task!r}."
        raise SpecError(problem, f"Its classes are {', '.join(source.names)}.")
    gone = samples.targets[own][labels < 0].astype(np.int64)
    counts = {source.names[k]: int((gone == k).sum()) for k in np.unique(gone).tolist()}
    return _Part(name, samples.select(labels >= 0), labels[labels >= 0], counts)


def _join(name: str, parts: Sequence[_Part], task: str, side: int | None) -> Samples:
    for part in parts:
        if not len(part.samples):
            problem = f"dataset {part.name!r} has no sample for the task {task!r}."
            raise BadDataError(problem, "Leave it out of the union.")
    first = [np.asarray(part.samples.images[0]) for part in parts]
    gray = any(image.ndim == 2 for image in first)
    size = side or min(min(image.shape[:2]) for image in first)
    groups = np.concatenate(
        [
            np.array([f"{part.name}/{group}" for group in (part.samples.ids if own is None else own)])
            for part in parts
            for own in [part.samples.groups]
        ]
    )
    checksums = {
        split: _digest(f"{part.name}:{part.samples.checksums.get(split, '')}" for part in parts) for split in SPLITS
    }
    ids = np.concatenate([np.array([f"{part.name}/{i}" for i in part.samples.ids]) for part in parts])
    facts = {
        part.name: {
            "layout": part.samples.layout,
            "n": {split: len(part.samples.where(split)) for split in SPLITS},
            "checksums": part.samples.checksums,
            "left_out": part.left_out,
            **({"fold": part.samples.facts["fold"]} if "fold" in part.samples.facts else {}),
        }
        for part in parts
    }
    keys = [part.samples.key for part in parts]
    return Samples(
        ids=ids,
        images=_Joined([part.samples.images for part in parts], size, gray=gray),
        split=np.concatenate([part.samples.split for part in parts]).astype("<U10"),
        targets={task: np.concatenate([part.labels for part in parts])},
        layout="; ".join(f"{part.name}: {part.samples.layout}" for part in parts),
        groups=groups if any(part.samples.groups is not None for part in parts) else None,
        columns={SOURCE: np.concatenate([np.full(len(part.samples), part.name) for part in parts])},
        notes=[*_notes(parts), *(f"{part.name}: {note}" for part in parts for note in part.samples.notes)],
        quarantined=[(f"{part.name}/{path}", reason) for part in parts for path, reason in part.samples.quarantined],
        checksums=checksums,
        key=f"union-{name}-{size}-{gray}-{_digest(keys)}" if all(keys) else "",
        facts={"union": facts, "names": names_digest(ids)},
    )


def _notes(parts: Sequence[_Part]) -> list[str]:
    return [
        f"{part.name}: {sum(part.left_out.values())} samples of {', '.join(part.left_out)} are left out: the task has"
        " no such class"
        for part in parts
        if part.left_out
    ]


def _without_seen(samples: Samples, policy: str) -> Samples:
    """Samples without those of train and validation that are near-duplicates of a test face of any source."""

    def build() -> tuple[cache.Arrays, dict[str, Any]]:
        test_of, correlation = copies_of_test(samples.images, samples.split)
        return {"test": test_of, "correlation": correlation}, {}

    if samples.key:
        key = hashlib.sha256(f"1|{NEAR}|{samples.key}|{names_digest(samples.split)}".encode()).hexdigest()
        found = np.asarray(cache.cached("union", key, build)[0]["test"])
    else:
        found = build()[0]["test"]
    seen = np.flatnonzero(found >= 0)
    source = samples.columns[SOURCE].astype(str)
    pairs: dict[str, int] = {}
    for at in seen.tolist():
        pair = f"{source[at]} as in the test of {source[found[at]]}"
        pairs[pair] = pairs.get(pair, 0) + 1
    if len(seen) and policy == "refuse":
        at = int(seen[0])
        problem = (
            f"{len(seen)} faces of train and validation are near-duplicates of a test face, {samples.ids[at]} of"
            f" {samples.ids[found[at]]} among them ({_listed(pairs)})."
        )
        raise BadDataError(problem, "Leave union_duplicates out, and they are dropped and counted.")
    kept = samples.select(found < 0)
    kept.facts["union_duplicates"] = {"n_dropped": len(seen), "pairs": pairs}
    if len(seen):
        kept.notes.insert(0, f"{len(seen)} near-duplicates of test faces are left out of training: {_listed(pairs)}")
    # What is left has none; it needs not be looked for again.
    kept.columns["duplicate"] = np.zeros(len(kept), dtype=bool)
    kept.key = ""
    return kept


def _listed(pairs: Mapping[str, int]) -> str:
    return ", ".join(f"{n} of {pair}" for pair, n in sorted(pairs.items()))


def _digest(texts: Any) -> str:
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:16]


class _Joined:
    """Images of several sequences, one behind the other, in one form.

    Args:
        each: the sequences.
        size: side of the result.
        gray: grey or RGB.
    """

    def __init__(self, each: Sequence[Images], size: int, *, gray: bool) -> None:
        self._each, self.size, self.gray = list(each), size, gray
        self._ends = np.cumsum([len(images) for images in each])

    def __len__(self) -> int:
        return int(self._ends[-1])

    def __getitem__(self, index: int) -> npt.NDArray[np.uint8]:
        which = int(np.searchsorted(self._ends, index, side="right"))
        image = np.asarray(self._each[which][index - (int(self._ends[which - 1]) if which else 0)])
        if self.gray and image.ndim == 3:
            image = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        elif not self.gray and image.ndim == 2:
            image = np.repeat(image[:, :, None], 3, axis=2)
        return np.asarray(image if image.shape[:2] == (self.size, self.size) else resize(image, self.size))
