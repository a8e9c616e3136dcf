"""What a dataset says of itself, in one place that is read without PyTorch: whoever must know something of a dataset
asks here.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

from fer_bench import paths, plugins
from fer_bench.errors import PluginError, SpecError, UnknownNameError
from fer_bench.protocols.options import DatasetOptions, read_options
from fer_bench.protocols.protocol import PROTOCOLS, Protocol
from fer_bench.registry import Registry, unknown_name

Picture = Literal["face", "person", "scene"]


@dataclass(frozen=True)
class DatasetInfo:
    """A dataset's account of itself.

    Args:
        name: in settings, records and names of protocols.
        title: in headings.
        about: one line: what is in it, and how much.
        licence: under which it is given, in a few words; empty: not known here.
        free: whether its licence lets anyone give on a network that was trained on it.
        homepage: address of its authors' page.
        citation: of its paper, as BibTeX or as a text.
        how_to_get: one or two sentences; the hint where it is missing.
        unverified: what of the reader was never tried on a real file; `fer-bench audit` says it.
        datamodule: ``module:class`` of its datamodule.
        options: what ``dataset_options`` may hold; None: the reader checks them itself.
        default_task: of a command that names no task; empty: that of ``benchmarks/defaults.yaml``.
        picture: what a picture shows: one ``face``, a ``person``, or a ``scene``.
        channels: of its images: 1 (grey), 3 (RGB), or None where they may be either; counts where a record does not
            say it.
        small_faces: whether its images are face crops of about 48 px, for which networks need recipes of their own.
        images_of: name of the dataset whose images it labels anew, in the same official splits; empty: its images are
            its own.
        margins: left, top, right and bottom: what its crops show around the box of the 68 landmarks, as shares of the
            box' width and height, negative ones cut off; None: its option ``margin``, else a tenth.
        square: its crops are squares around that box; else they are the box itself, stretched.
        own_landmarks: whether its column ``landmarks`` is in the pixels of its images.
        written: how ``--dataset`` names it, where that is more than its name.
    """

    name: str = ""
    title: str = ""
    about: str = ""
    licence: str = ""
    free: bool = False
    homepage: str = ""
    citation: str = ""
    how_to_get: str = ""
    unverified: str = ""
    datamodule: str = ""
    options: type[DatasetOptions] | None = None
    default_task: str = ""
    picture: Picture = "face"
    channels: Literal[1, 3] | None = None
    small_faces: bool = False
    images_of: str = ""
    margins: tuple[float, float, float, float] | None = None
    square: bool = False
    own_landmarks: bool = False
    written: str = ""

    def __post_init__(self) -> None:
        for key, known in (("picture", get_args(Picture)), ("channels", (1, 3, None))):
            if getattr(self, key) not in known:
                problem = f"dataset {self.name!r}: {key} = {getattr(self, key)!r}."
                raise SpecError(problem, f"It is one of {', '.join(map(repr, known))}.")

    def read_options(self, given: Mapping[str, Any]) -> DatasetOptions:
        """Its options, checked; without any of its own where they are not declared.

        Raises:
            SpecError: an option that it does not have, or a value that cannot be.
        """
        return DatasetOptions() if self.options is None else read_options(self.options, given, self.name)


DATASETS: Registry[DatasetInfo] = Registry("dataset")
# Whose absence was said.
_NOTICED: set[str] = set()


def declare(info: DatasetInfo, *protocols: Protocol) -> DatasetInfo:
    """Make a dataset known, with the protocols by which runs on it are judged.

    Args:
        info: the dataset.
        protocols: one a task; a title that is left out is made of those of the dataset and the task.

    Raises:
        ValueError: a protocol is of another dataset, or a name is taken.
    """
    DATASETS.add(info.name, info)
    for protocol in protocols:
        if protocol.dataset != info.name:
            message = f"protocol {protocol.name!r} is declared with dataset {info.name!r}"
            raise ValueError(message)
        title = protocol.title or f"{info.title}, {protocol.task.title}"
        PROTOCOLS.add(protocol.name, replace(protocol, title=title))
    return info


def declared(dataset: str) -> DatasetInfo | None:
    """What is declared of a dataset of the package, of several as one, or of a folder or table that a user brings; None
    of any other.

    Args:
        dataset: its name, several with ``+`` between them, ``folder:NAME`` or ``table:NAME``.
    """
    from fer_bench.protocols.union import parts_of, union_info

    if parts := parts_of(dataset):
        return union_info(parts)
    key, colon, own = dataset.partition(":")
    info = DATASETS.get(key)
    # Of what users bring the name is needed, of all else it is wrong.
    return info if info is not None and bool(colon and own) == bool(info.written) else None


def info_of(dataset: str) -> DatasetInfo:
    """What a dataset says of itself; a plugin is imported for it, and says it in an attribute ``info``.

    Args:
        dataset: as in the settings of a run.

    Raises:
        PluginError: a plugin cannot be imported, or its ``info`` is none.
    """
    if (info := declared(dataset)) is not None:
        return info
    plugin = plugins.find("dataset", dataset) if DATASETS.get(dataset) is None else None
    stated = getattr(plugin.load(), "info", None) if plugin is not None else None
    if stated is not None and not isinstance(stated, DatasetInfo):
        problem = f"dataset {dataset!r}: its info is a {type(stated).__name__}."
        raise PluginError(problem, "It is a fer_bench.protocols.DatasetInfo.")
    return replace(stated or DatasetInfo(), name=dataset)


def unknown_dataset(dataset: str) -> UnknownNameError:
    """Compose the error for a name that is neither a dataset's nor a plugin's; of several with ``+`` between them, for
    the first that is none.
    """
    names = dataset.split("+")
    if len(names) > 1 and any(name.strip() in DATASETS for name in names):
        if any(name != name.strip() or not name for name in names):
            meant = "+".join(filter(None, (name.strip() for name in names)))
            problem = f"dataset {dataset!r}: there is {'a blank' if ' ' in dataset else 'nothing'} beside a '+'."
            return UnknownNameError(problem, f"Did you mean {meant!r}?", "dataset")
        dataset = next((name for name in names if name not in DATASETS or DATASETS[name].written), "")
        if not dataset:
            twice = next(name for name in names if names.count(name) > 1)
            return UnknownNameError(
                f"{'+'.join(names)}: {twice!r} is there twice.", "Name each dataset once.", "dataset"
            )
        if dataset.partition(":")[0] in DATASETS:
            problem = f"{'+'.join(names)}: {dataset!r} cannot be joined with others."
            return UnknownNameError(problem, "Only datasets that the package knows by name can.", "dataset")
    written = [DATASETS[name].written or name for name in DATASETS]
    unknown = unknown_name("dataset", dataset, plugins.known("dataset", written))
    if own := _own_data(dataset):
        return UnknownNameError(unknown.problem, f"{unknown.hint} {own}", unknown.kind)
    return unknown


def _own_data(name: str) -> str:
    """How a folder or a table that is there under this name is written; empty where neither is."""
    root = paths.data_root()
    # No file can have some names.
    with contextlib.suppress(OSError, ValueError):
        for place in (root / name, Path(name)):
            if place.is_file():
                return f"Your own table {place} is written table:{name}."
            if place.name and place.is_dir():
                where = "" if place.parent == root else f", with --data-dir {place.parent}"
                return f"Your own folder {place} is written folder:{place.name}{where}."
    return ""


def info_at_hand(dataset: str) -> DatasetInfo:
    """As :func:`info_of`, for what needs no data: where a plugin is not here, what is usual, with a notice."""
    try:
        return info_of(dataset)
    except PluginError as error:
        if dataset not in _NOTICED:
            print(f"{error.problem} What it says of its images is not known: the defaults are taken.", file=sys.stderr)
            _NOTICED.add(dataset)
        return DatasetInfo(dataset)
