"""Find the images of a study: in a folder, or as listed in a CSV."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath

from fer_bench.clutter import is_clutter
from fer_bench.errors import BadDataError, MissingDataError
from fer_bench.escaping import csv_value
from fer_bench.image_files import UnreadableImageError, check_size, kind_of, read_content, read_header

# SVG is left out on purpose: it can carry scripts.
MEDIA_TYPES = {
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".png": "image/png",
    ".webp": "image/webp",
    ".gif": "image/gif",
    ".bmp": "image/bmp",
}
_KINDS = {"jpeg", "png", "webp", "gif", "bmp"}
# Enough for the header of nearly all: JPEG may keep a colour profile in front of it.
_START = 2**16


@dataclass(frozen=True)
class StudyImage:
    """One image of a study.

    Args:
        name: path below the study's image folder, with forward slashes; never shown to raters, since it may name the
            class.
        label: the dataset's original label, empty where there is none.
        file: where it is.
    """

    name: str
    label: str
    file: Path

    @property
    def media_type(self) -> str:
        """Content type by suffix."""
        return MEDIA_TYPES[self.file.suffix.lower()]


def list_images(folder: Path, source: Path | list[str] | None, where: str) -> tuple[StudyImage, ...]:
    """List and check images.

    Args:
        folder: the folder that holds all images of the study; it exists.
        source: None for all images below the folder, a CSV file with columns ``path`` and optionally ``label``, or a
            list of paths.
        where: ``file, line n: key`` of the setting, for errors.

    Returns:
        The images, sorted by name for a folder, else in the given order. Without a label column, the label is the first
        sub-folder.

    Raises:
        MissingDataError: table or images are missing.
        BadDataError: a path leads out of the folder, is listed twice, or is not an image.
    """
    if source is None:
        paths = (path for path in folder.rglob("*") if path.suffix.lower() in MEDIA_TYPES and path.is_file())
        found = (inner.as_posix() for path in paths if not is_clutter(inner := path.relative_to(folder)))
        rows: Iterable[tuple[str, str | None, str]] = [(name, None, where) for name in sorted(found)]
    elif isinstance(source, Path):
        rows = _table_rows(source, where)
    else:
        rows = [(name, None, f"{where}.{index}") for index, name in enumerate(source)]
    images = tuple(_image(folder, name, label, at) for name, label, at in rows)
    _check(images, folder, where)
    return images


def _table_rows(table: Path, where: str) -> Iterator[tuple[str, str | None, str]]:
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            columns = reader.fieldnames or []
            if "path" not in columns:
                problem = f"{table}, line 1: no column 'path' (found: {', '.join(columns) or 'nothing'})."
                raise BadDataError(problem, "Give columns path and, optionally, label.")
            for row in reader:
                at = f"{table}, line {reader.line_num}"
                if None in row or row["path"] is None:
                    problem = f"{at}: number of columns differs from the header."
                    raise BadDataError(problem)
                label = row.get("label")
                yield csv_value(row["path"]), None if label is None else csv_value(label), at
    except OSError as error:
        problem = f"{where}.table: {table} cannot be opened: {error.strerror}."
        raise MissingDataError(problem, "Relative paths count from the folder of the study file.") from None
    except (UnicodeDecodeError, csv.Error) as error:
        problem = f"{table}: not a UTF-8 CSV file: {error}."
        raise BadDataError(problem) from None


def _image(folder: Path, name: str, label: str | None, at: str) -> StudyImage:
    parts = PurePosixPath(name).parts
    if (
        not name
        or "\\" in name
        or "\0" in name
        or ".." in parts
        or PurePosixPath(name).is_absolute()
        or PureWindowsPath(name).drive
    ):
        problem = f"{at}: image path {name!r} does not stay below the image folder."
        raise BadDataError(problem, "Give paths relative to images.folder, with forward slashes and without '..'.")
    clean = PurePosixPath(name).as_posix()
    if PurePosixPath(clean).suffix.lower() not in MEDIA_TYPES:
        problem = f"{at}: {name!r} is not one of the image formats {', '.join(sorted(MEDIA_TYPES))}."
        raise BadDataError(problem)
    if label is None:
        label = parts[0] if len(parts) > 1 else ""
    return StudyImage(clean, label.strip(), folder / clean)


def _check(images: tuple[StudyImage, ...], folder: Path, where: str) -> None:
    seen: set[str] = set()
    missing = []
    for image in images:
        if image.name in seen:
            problem = f"{where}: image {image.name!r} is listed twice."
            raise BadDataError(problem, "List every image once.")
        seen.add(image.name)
        if kind_of(image.file) != "file":
            missing.append(image.name)
            continue
        _check_content(image.file, where)
    if missing:
        some = ", ".join(missing[:3]) + (", ..." if len(missing) > 3 else "")
        problem = f"{where}: {len(missing)} of {len(images)} images are missing below {folder}: {some}."
        raise MissingDataError(problem, "Add the files or take them out of the study.")


def _check_content(file: Path, where: str) -> None:
    """Refuse what a browser cannot show, or would fail to show for its size."""
    try:
        content = read_content(file, _START)
        header = read_header(content)
        if header is None and len(content) == _START:
            content = read_content(file)
            header = read_header(content)
        if header is None or header.kind not in _KINDS:
            problem = f"{where}: {file} is not an image ({'unknown content' if content else 'empty'})."
            raise BadDataError(problem, "Replace the file or take it out of the study.")
        check_size(header, content)
    except UnreadableImageError as error:
        problem = f"{where}: {file}: {error.reason}."
        raise BadDataError(problem, "Replace the file or take it out of the study.") from None
