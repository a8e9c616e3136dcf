"""A table of images and labels as a dataset: ``--dataset table:faces/labels.csv``."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fer_bench.class_sets import LEFT_OUT, Classes, same_classes, suggestion
from fer_bench.data import cache
from fer_bench.data.datamodule import AffectDataModule
from fer_bench.data.native import decode_images
from fer_bench.data.samples import ATTRIBUTE, SPLITS, Samples, content_order, names_digest, split_checksum
from fer_bench.data.split_names import split_of
from fer_bench.data.survey import arrays_of, images_of, is_streamed, survey_images
from fer_bench.datasets.class_folders import check_classes, repeated
from fer_bench.datasets.table.file import Table, read_table
from fer_bench.datasets.table.image_paths import common_folder, likeliest, roots, sample_names
from fer_bench.datasets.user_files import complete_splits, found_in, people
from fer_bench.errors import BadDataError, MissingDataError
from fer_bench.labels import LABEL_SETS, plain
from fer_bench.own_data import TABLE_SUFFIXES
from fer_bench.protocols import Protocol, TaskInfo, protocol_for
from fer_bench.protocols.brought import TableOptions

READER_VERSION = "1"
VALUES = ("valence", "arousal")
_SHOWN = 5
# Words in the names of columns that hold the box of a face.
_BOX = frozenset(
    {
        "left",
        "top",
        "right",
        "bottom",
        "x",
        "y",
        "w",
        "h",
        "width",
        "height",
        "x1",
        "y1",
        "x2",
        "y2",
        "xmin",
        "ymin",
        "xmax",
        "ymax",
    }
)
_WHOLE = re.compile(r"([0-9]+)\.0+")


class TableDataModule(AffectDataModule):
    """Your own table: ``--dataset table:FILE``, CSV or Parquet, with one image a row.

    Columns are ``image`` and ``label`` (or ``valence`` and ``arousal``), and, where they are there, ``split`` and
    ``identity``; other names that are common are known too, and the options ``image``, ``label``, ``split`` and
    ``identity`` name any; those of a list without a header are called ``1``, ``2`` and so on. Paths of images are
    relative to the table, to a folder ``images`` next to it, to the data root, or to the option ``images``. ``split``
    and ``identity`` may also be regular expressions, whose first group in the path is meant; ``classes``,
    ``validation`` and ``test`` are those of class folders.

    Args:
        file: where the table is; None: looked for in the data root, by the dataset's name.
        arguments: of :class:`AffectDataModule`.
    """

    dataset = "table"

    def __init__(self, *arguments: Any, file: Path | None = None, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self.file = file

    def read(self) -> Samples:
        """Read the table and its images."""
        options = self.chosen(TableOptions)
        file = self.file or _find(self.name, self.data_dir)
        table = read_table(file, self.options)
        protocol = protocol_for(f"table:{self.name}", self.task)
        folders = roots(file, self.data_dir, options.images)
        return read_images(
            self.name,
            table,
            protocol,
            folders,
            self.options,
            (options.validation, options.test),
            side=self.image_size,
            gray={1: True, 3: False}.get(self.channels or 0),
            folds=self.folding is not None,
            reduced=options.reduced,
            images_from=self.images_from,
        )


def _find(name: str, data_dir: str | None) -> Path:
    """A table by the name of its dataset, for runs whose data are needed again."""
    folders = cache.candidates(name, data_dir)
    found = next(
        (path for folder in folders for suffix in TABLE_SUFFIXES if (path := folder / f"{name}{suffix}").is_file()),
        None,
    )
    if found is None:
        raise cache.missing(
            name, [f"{name}{suffix}" for suffix in TABLE_SUFFIXES], folders, "Name the file: --dataset table:FILE."
        )
    return found


@dataclass(frozen=True)
class _Rows:
    """Rows that are used: images by their names, files, targets and splits."""

    ids: list[str]
    files: list[Path]
    rows: list[int]
    targets: npt.NDArray[Any]
    splits: list[str]
    notes: list[str]
    bad: list[tuple[str, str]]


def read_images(
    name: str,
    table: Table,
    protocol: Protocol,
    folders: list[Path],
    options: Mapping[str, Any],
    shares: tuple[float, float],
    *,
    side: int | None = None,
    gray: bool | None = None,
    folds: bool = False,
    reduced: bool = False,
    images_from: str = "auto",
) -> Samples:
    """Read the images that a table names.

    Args:
        name: the dataset's name, for messages and the cache.
        table: its rows.
        protocol: gives the classes, or the dimensions and their scale.
        folders: that its paths may be relative to; the first one that has most of its images is taken.
        options: of the dataset.
        shares: validation and test shares to hold out where the table names no splits.
        side: as of :func:`fer_bench.data.native.decode_images`.
        gray: likewise.
        folds: the samples will be assigned to folds: no split is made here.
        reduced: decode at reduced scale where images are large enough.
        images_from: as of :func:`fer_bench.data.survey.is_streamed`.

    Returns:
        Samples whose ids are the table's own paths, never absolute ones. An image that several rows name counts once
        where they agree, and is left out where they do not.

    Raises:
        BadDataError: a label that is no class, a value that is no number, an unknown split, more than 1 % of the images
            missing, unreadable or contradictory.
    """
    task = protocol.task
    classes = None if task.labels is None else Classes(task.labels, options.get("classes"))
    targets: npt.NDArray[Any] = _values(table, protocol, task) if classes is None else _labels(table, classes)
    rows = _use(table, targets, folders, options)
    root = common_folder(rows.files)
    contents = cache.file_digests(root, rows.files)
    listing = cache.listing_of(root, rows.files, contents)
    labels = cache.text_sha256(repr((rows.ids, rows.targets.tolist())))
    key = f"{READER_VERSION}-{listing}-{labels}-{side}-{gray}" + "-reduced" * reduced
    streamed = is_streamed(name, cache.text_sha256(key), images_from, len(rows.files), side)

    def build() -> tuple[cache.Arrays, dict[str, Any]]:
        kind = np.float32 if classes is None else np.int8 if len(classes.labels) <= 127 else np.int16
        own = rows.targets.astype(kind)
        decoded = (
            survey_images(rows.files, contents, own, side, gray=gray, reduced=reduced)
            if streamed
            else decode_images(rows.files, own, side, gray=gray, reduced=reduced)
        )
        bad = [(rows.ids[at], reason) for at, reason in decoded.bad]
        present = rows.targets[decoded.kept].tolist()
        check_classes(table.path, present, bad, len(rows.ids) + len(rows.bad), classes, unused=rows.bad)
        arrays: cache.Arrays = {
            "kept": decoded.kept,
            "digests": decoded.digests,
            "pixels": decoded.pixels,
            **arrays_of(decoded),
        }
        return arrays, {"bad": bad, "facts": decoded.facts}

    arrays, facts = cache.cached(name, cache.text_sha256(key + "-streamed" * streamed), build)
    kept = np.asarray(arrays["kept"])
    ids = np.array(rows.ids)[kept]
    used = rows.targets[kept]
    row_of = np.array(rows.rows)[kept]
    groups = _people(table, ids, row_of, str(options.get("identity", "")))
    # Under names that are no column's of any reader: a table may call anything "no_face" or "boxes".
    others = {f"{ATTRIBUTE}{name}": np.array(cells)[row_of] for name, cells in table.others.items()}
    strata = used if used.ndim == 1 else np.zeros(len(used), dtype=np.int64)
    split, notes = complete_splits(np.array(rows.splits)[kept], ids, strata, groups, shares, folds=folds, table=True)
    doubled = repeated(arrays["pixels"], used) if used.ndim == 1 else []
    samples = Samples(
        ids=ids,
        images=images_of(arrays, rows.files, contents, gray=gray, reduced=reduced),
        split=split,
        targets={task.name: used},
        layout=f"{table.path.name}: {table.about}",
        groups=groups,
        columns={**others, **({} if groups is None else {"identity": groups})},
        notes=[*notes, *rows.notes, *doubled, *_boxes(table)],
        quarantined=[*rows.bad, *((str(p), str(reason)) for p, reason in facts["bad"])],
        facts=dict(facts["facts"]),
        key=f"{name}-{key}-{cache.text_sha256(repr((split.tolist(), None if groups is None else groups.tolist())))}",
    )
    samples.checksums = {
        s: split_checksum(arrays["digests"][samples.where(s)]) for s in SPLITS if len(samples.where(s))
    }
    samples.facts["order"] = {s: content_order(arrays["digests"][samples.where(s)]) for s in samples.checksums}
    # Files of the same content may be called otherwise elsewhere: only records of the same names can be compared name
    # by name.
    samples.facts["names"] = names_digest(ids)
    return samples


def _labels(table: Table, classes: Classes) -> npt.NDArray[np.int64]:
    """Class ids of all rows, ``LEFT_OUT`` where a label is mapped to nothing."""
    if "label" not in table.columns:
        problem = f"{table.path}: there is no column of labels; the columns are {', '.join(table.header)}."
        raise BadDataError(problem, "Name it, for example --set dataset_options.label=emotion.")
    cells = [_WHOLE.sub(r"\1", cell) for cell in table.columns["label"]]
    found = {cell: classes.find(cell) if cell else LEFT_OUT for cell in dict.fromkeys(cells)}
    unknown = [cell for cell, label in found.items() if label is None]
    if unknown:
        counts = Counter(cells)
        listed = ", ".join(f"{cell!r} ({counts[cell]})" for cell in unknown[:_SHOWN]) + (
            f" and {len(unknown) - _SHOWN} more" if len(unknown) > _SHOWN else ""
        )
        named = "dataset_options.classes" if classes.folders else classes.labels.name
        problem = f"{table.path}: these labels are not classes of {named}: {listed}."
        named_once = set(map(plain, filter(None, found)))
        fits = next((known for known in LABEL_SETS if same_classes(LABEL_SETS[known], named_once)), None)
        hint = (
            f"Use --task {fits}, whose classes they are."
            if fits
            else f"Name the classes: {suggestion(sorted(filter(None, found)), classes.folders)}."
        )
        raise BadDataError(problem, hint)
    there = {classes.key(cell) for cell in found if cell}
    absent = [key for key in classes.folders if key not in there]
    if absent:
        problem = (
            f"{table.path}: no row has the label {', '.join(map(repr, absent[:_SHOWN]))}, which dataset_options.classes"
            " names."
        )
        raise BadDataError(
            problem, f"The labels that are there: {suggestion(sorted(filter(None, found)), classes.folders)}."
        )
    return np.array([found[cell] for cell in cells], dtype=np.int64)


def _values(table: Table, protocol: Protocol, task: TaskInfo) -> npt.NDArray[np.float32]:
    """Values of all rows, (N, D), in the order of the task's dimensions."""
    columns = []
    for name in task.dimensions:
        # Values that users name have a column of their own name.
        cells = table.columns.get(name) or next(
            (column for header, column in table.others.items() if plain(header) == name), None
        )
        if cells is None:
            problem = f"{table.path}: there is no column {name!r}; the columns are {', '.join(table.header)}."
            how = f"Name it, for example --set dataset_options.{name}=V" if name in VALUES else f"Call it {name}"
            raise BadDataError(problem, f"{how}, or choose a task of classes.")
        values = np.full(len(table), np.nan)
        for row, cell in enumerate(cells):
            try:
                values[row] = float(cell)
            except ValueError:
                values[row] = np.nan
            if not protocol.scale[0] <= values[row] <= protocol.scale[1]:
                problem = (
                    f"{table.path}, row {row + 1}: {name} = {cell!r} is not a number from {protocol.scale[0]:g} to"
                    f" {protocol.scale[1]:g}."
                )
                raise BadDataError(problem, "Correct it, leave the row out, or rescale the values to that range.")
        columns.append(values)
    return np.stack(columns, axis=1).astype(np.float32)


def _use(table: Table, targets: npt.NDArray[Any], folders: list[Path], options: Mapping[str, Any]) -> _Rows:
    """Rows whose images are there, each image once."""
    names = [cell.replace("\\", "/") for cell in table.columns["image"]]
    places = likeliest(folders, names)
    ids = sample_names(names, places.root)
    splits = _splits(table, ids, str(options.get("split", "")))
    people_of = table.columns.get("identity", [""] * len(table))
    first: dict[str, int] = {}
    contradictory, again, left_out = set[str](), 0, 0
    for row, name in enumerate(ids):
        if first.setdefault(name, row) != row:
            again += 1
            said = [(splits[i], people_of[i]) for i in (row, first[name])]
            if (targets[row] != targets[first[name]]).any() or said[0] != said[1]:
                contradictory.add(name)
    rows, found, bad = [], [], [(name, "rows that contradict each other") for name in sorted(contradictory)]
    for name, row in first.items():
        if name in contradictory:
            continue
        if targets.ndim == 1 and targets[row] == LEFT_OUT:
            left_out += 1
        elif (file := places.find(names[row])) is None:
            bad.append((name, "there is no such file"))
        else:
            rows.append(row)
            found.append(file)
    notes = [f"{again} rows name an image that an earlier row names too"] if again else []
    notes += [f"{len(contradictory)} images were left out: their rows contradict each other"] if contradictory else []
    notes += [f"{left_out} images were left out: their label is empty or mapped to nothing"] if left_out else []
    if not rows:
        example = f"; the first is {bad[0][0]}: {bad[0][1]}, in {places.root}" if bad else ""
        problem = f"{table.path}: none of the images that it names can be used{example}."
        raise MissingDataError(
            problem, "Name the folder that its paths are relative to: --set dataset_options.images=FOLDER."
        )
    return _Rows([ids[row] for row in rows], found, rows, targets[rows], [splits[row] for row in rows], notes, bad)


def _splits(table: Table, ids: list[str], pattern: str) -> list[str]:
    cells = table.columns.get("split")
    if cells is None:
        # As for people, it may be a regular expression; a table that has no such column has been refused otherwise.
        cells = found_in(np.array(ids), pattern, "split").tolist() if pattern else [""] * len(table)
    known = {cell: split_of(cell) if cell.strip() else "" for cell in dict.fromkeys(cells)}
    unknown = [cell for cell, split in known.items() if cell.strip() and not split]
    if unknown:
        where = (
            f"in the column {table.names['split']!r}"
            if "split" in table.names
            else f"as dataset_options.split = {pattern!r} finds it"
        )
        problem = f"{table.path}: {', '.join(map(repr, unknown[:_SHOWN]))} {where} is not a split."
        raise BadDataError(
            problem, "Splits are train, validation and test; name another column with --set dataset_options.split=NAME."
        )
    return [known[cell] for cell in cells]


def _boxes(table: Table) -> list[str]:
    """What to say of boxes of faces, which are not cut out."""
    found = [name for name in table.header if set(re.split(r"[\W_]+", plain(name))) & _BOX]
    return (
        [f"columns that look like boxes of faces ({', '.join(found[:_SHOWN])}) are not used: whole images are read"]
        if len(found) >= _SHOWN - 1
        else []
    )


def _people(
    table: Table, ids: npt.NDArray[np.str_], rows: npt.NDArray[np.int64], identity: str
) -> npt.NDArray[np.str_] | None:
    if "identity" in table.columns:
        people_of = np.array(table.columns["identity"])[rows]
        empty = np.flatnonzero(people_of == "")
        if len(empty):
            problem = (
                f"{table.path}: {len(empty)} images have no person in the column {table.names['identity']!r}; the first"
                f" is {ids[empty[0]]}."
            )
            raise BadDataError(problem, "Fill the column in, or rename it so that it is not taken for people.")
        return people_of
    return people(ids, identity)
