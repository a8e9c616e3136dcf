"""Image folders with one folder per class, in any split layout: ``train/ validation/ test/``, ``train/ test/``, or no
split folders at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fer_bench.class_sets import Classes
from fer_bench.data import cache
from fer_bench.data.datamodule import AffectDataModule
from fer_bench.data.native import decode_images
from fer_bench.data.samples import SPLITS, Samples, content_order, names_digest, split_checksum
from fer_bench.data.split_names import split_of
from fer_bench.data.survey import arrays_of, images_of, is_streamed, survey_images
from fer_bench.datasets.class_folders import (
    check_classes,
    check_found,
    find_images,
    repeated,
    sample_ids,
    subfolders,
    unread_note,
)
from fer_bench.datasets.fer2013.folders import usage_split
from fer_bench.datasets.user_files import complete_splits, label_set, people
from fer_bench.labels import LabelSet
from fer_bench.protocols.brought import FolderOptions

READER_VERSION = "3"
_SPLITS = ("", *SPLITS)


class FolderDataModule(AffectDataModule):
    """Your own class folders: ``--dataset folder:NAME`` reads ``<data root>/NAME`` (or the data root itself).

    Its options are :class:`fer_bench.protocols.brought.FolderOptions`. People that ``identity`` finds never cross
    splits that the suite makes, and folds can keep them together; ``classes`` is read by :mod:`fer_bench.class_sets`.
    """

    dataset = "folder"

    def read(self) -> Samples:
        """Read the class folders."""
        labels = label_set(self.dataset, self.task)
        options = self.chosen(FolderOptions)
        classes = Classes(labels, options.classes)
        folders = cache.candidates(self.name, self.data_dir)
        for place in folders:
            if _is_dataset(place, classes, own=place == folders[0]):
                return read_folder(
                    self.name,
                    place,
                    labels,
                    side=self.image_size,
                    identity=options.identity,
                    shares=(options.validation, options.test),
                    gray={1: True, 3: False}.get(self.channels or 0),
                    folders=classes.folders,
                    folds=self.folding is not None,
                    reduced=options.reduced,
                    images_from=self.images_from,
                )
        hint = (
            f"Make one folder per class ({', '.join(labels.names)}; or others, with dataset_options.classes), inside"
            " train/ and test/ if you have splits."
        )
        raise cache.missing(self.name, ("class folders",), folders, hint)


def _is_dataset(root: Path, classes: Classes, *, own: bool) -> bool:
    """Whether a folder is the dataset: by its class folders, by its split folders, or because it is the dataset's
    ``own``, by its name, and holds folders.
    """
    if not root.is_dir():
        return False
    inner = subfolders(root)
    return bool(own and inner) or any(split_of(child.name) for child in inner) or _has_classes(root, classes)


def _has_classes(root: Path, classes: Classes) -> bool:
    inner = subfolders(root)
    deeper = [c for child in inner if split_of(child.name) for c in subfolders(child)]
    return any(classes.key(child.name) is not None for child in [*inner, *deeper])


def read_folder(
    name: str,
    root: Path,
    label_set: LabelSet,
    *,
    side: int | None = None,
    official: dict[str, int] | None = None,
    identity: str = "",
    shares: tuple[float, float] = (0.1, 0.2),
    gray: bool | None = True,
    folders: Mapping[str, str | None] | None = None,
    folds: bool = False,
    reduced: bool = False,
    images_from: str = "auto",
) -> Samples:
    """Read class folders: images of one size, decoded once into a memory-mapped array or when they are asked for.

    Args:
        name: the dataset's name, for messages and the cache.
        root: folder that holds split folders or class folders.
        label_set: the classes; folder names are mapped by name, never by position.
        side: side in pixels that every image is resized to; None: see :func:`fer_bench.data.native.common_side`; with
            ``official`` a demand, not a resize.
        official: sizes of the official splits; then image size is checked, and what is lost of the splits is said.
        identity: regular expression for the person in a relative path.
        shares: validation and test shares to hold out where there are no such folders.
        gray: True decodes to one channel; False to three; None: to three where an image has a colour.
        folders: folder to class, where folders are called otherwise; None leaves one out.
        folds: the samples will be assigned to folds: no split is made here.
        reduced: decode at reduced scale where images are large enough.
        images_from: as of :func:`fer_bench.data.survey.is_streamed`; ``official`` images are always decoded once.

    Returns:
        Samples whose ids are relative paths. Checksums are over the pixels at their native size.

    Raises:
        BadDataError: a folder that is no class, an empty class, more than 1 % unreadable images, an image of the wrong
            size.
    """
    classes = Classes(label_set, folders)
    found = find_images(root, classes)
    check_found(root, found, classes, own=official is None)
    check_classes(root, found.labels, [], len(found.files), classes, own=official is None)
    contents = cache.file_digests(root, found.files)
    listing = cache.listing_of(root, found.files, contents)
    names = sorted(classes.folders.items(), key=str)
    key = f"{READER_VERSION}-{listing}-{label_set.name}-{names}-{side}-{gray}-{bool(official)}" + "-reduced" * reduced
    streamed = not official and is_streamed(name, cache.text_sha256(key), images_from, len(found.files), side)

    def build() -> tuple[cache.Arrays, dict[str, Any]]:
        labels = np.array(found.labels, dtype=np.int8 if len(label_set) <= 127 else np.int16)
        decoded = (
            survey_images(found.files, contents, labels, side, gray=gray, reduced=reduced)
            if streamed
            else decode_images(
                found.files,
                labels,
                side or (48 if official else None),
                gray=gray,
                exact=bool(official),
                reduced=reduced,
            )
        )
        ids = np.array(sample_ids(found.files, root))
        bad = [(str(ids[at]), reason) for at, reason in decoded.bad]
        check_classes(
            root,
            labels[decoded.kept].tolist(),
            bad + found.broken,
            len(found.files) + len(found.broken),
            classes,
            own=official is None,
        )
        split = np.array([_SPLITS.index(where) for where in found.splits], dtype=np.int8)
        arrays: cache.Arrays = {
            **arrays_of(decoded),
            "ids": ids[decoded.kept],
            "label": labels[decoded.kept],
            "split": split[decoded.kept],
            "digests": decoded.digests,
            "pixels": decoded.pixels,
        }
        return arrays, {"quarantined": bad, "facts": decoded.facts}

    arrays, facts = cache.cached(name, cache.text_sha256(key + "-streamed" * streamed), build)
    ids = arrays["ids"]
    labels = np.asarray(arrays["label"], dtype=np.int64)
    groups = people(ids, identity)
    split, notes = complete_splits(
        np.array(_SPLITS)[arrays["split"]], ids, labels, groups, shares, official, folds=folds
    )
    left_out = [f"{count} in {name!r}" for name, count in sorted(found.left_out.items())]
    notes += [f"images left out: {', '.join(left_out)}"] if left_out else []
    notes += [unread_note(found)] if found.unread else []
    if not official and {usage_split(str(name)) for name in ids} >= {"validation", "test"}:
        notes.append(
            "file names say PublicTest and PrivateTest, as FER2013's do: --dataset fer2013 splits such a copy by them,"
            " this one was split as above"
        )
    samples = Samples(
        ids=ids,
        images=images_of(arrays, found.files, contents, gray=gray, reduced=reduced),
        split=split,
        targets={label_set.name: labels},
        layout="class folders",
        groups=groups,
        columns={} if groups is None else {"identity": groups},
        notes=notes if official else [*notes, *repeated(arrays["pixels"], labels)],
        quarantined=[*((str(p), str(reason)) for p, reason in facts["quarantined"]), *found.broken],
        facts={} if official else dict(facts["facts"]),
        key=f"{name}-{key}-{identity}-{shares}-{folds}",
    )
    samples.checksums = {
        s: split_checksum(arrays["digests"][samples.where(s)]) for s in SPLITS if len(samples.where(s))
    }
    samples.facts["order"] = {s: content_order(arrays["digests"][samples.where(s)]) for s in samples.checksums}
    # Files of the same content may be called otherwise elsewhere: only records of the same names can be compared name
    # by name.
    samples.facts["names"] = names_digest(ids)
    return samples
