"""AffectNet's old release: CSV lists, and folders of images that their paths are relative to."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from fer_bench.data.readable import readable
from fer_bench.datasets.affectnet.raw import COLUMNS, RawIndex, codes_of, names_in
from fer_bench.errors import BadDataError, MissingDataError
from fer_bench.image_files import kind_of

LIST_FOLDERS = ("Manually_Annotated_file_lists", ".")
_IMAGE_FOLDERS = (
    "Manually_Annotated_Images",
    "Manually_Annotated/Manually_Annotated_Images",
    "Manually_Annotated",
    "Manually_Annotated_compressed",
    "images",
    ".",
)


def list_files(home: Path) -> dict[str, Path]:
    """The lists by name. Without the other one, only a list in its own folder counts: many a ``validation.csv`` is of
    something else.
    """
    for folder in LIST_FOLDERS:
        found = {name: path for name in ("training", "validation") if (path := home / folder / f"{name}.csv").is_file()}
        if len(found) == 2 or (found and folder != "."):
            return found
    return {}


def read_lists(home: Path) -> RawIndex:
    """Every listed row whose image is there, once.

    Raises:
        MissingDataError: none of the images is there.
        BadDataError: a list without its columns, or a cell that is not a number, with its line.
    """
    tables = {name: _read_list(file) for name, file in list_files(home).items()}
    table = pd.concat(list(tables.values()), ignore_index=True)
    is_train = np.arange(len(table)) < len(tables.get("training", ()))
    paths = table["subDirectory_filePath"].str.replace("\\", "/").to_numpy(dtype=str)
    repeated = pd.Series(paths).duplicated().to_numpy()
    images = _image_folder(home, paths)
    there = np.array([p in images[1] for p in paths.tolist()], dtype=bool)
    missing = {"no image file": int((~there).sum()), "listed twice": int((there & repeated).sum())}
    keep = there & ~repeated
    prefix = "" if images[0] == "." else images[0] + "/"
    return RawIndex(
        release="lists",
        root=home,
        ids=paths[keep],
        paths=np.array([prefix + p for p in paths[keep].tolist()], dtype=str),
        is_train=is_train[keep],
        expression=codes_of(table["expression"].to_numpy(dtype=np.float64)[keep]),
        valence=table["valence"].to_numpy(dtype=np.float32)[keep],
        arousal=table["arousal"].to_numpy(dtype=np.float32)[keep],
        boxes=table[list(COLUMNS[1:5])].to_numpy(dtype=np.float32)[keep],
        landmarks=_parse_landmarks(table["facial_landmarks"][keep]),
        missing={reason: n for reason, n in missing.items() if n},
    )


def _read_list(file: Path) -> pd.DataFrame:
    """One CSV list, with or without its header row, numbers checked line by line."""
    with (
        readable(file, "Use the list as the owners distribute it."),
        file.open(newline="", encoding="utf-8-sig", errors="replace") as stream,
    ):
        first = next(csv.reader(stream), [])
    spelt = {name.lower(): name for name in COLUMNS}
    names = [spelt.get(name.strip().lower(), name.strip()) for name in first]
    has_header = COLUMNS[0] in names
    names = names if has_header else list(COLUMNS)
    absent = [c for c in COLUMNS if c not in names]
    if absent or len(first) != len(names):
        problem = (
            f"{file}, line 1: expected the columns {', '.join(COLUMNS)} or nine values; found {len(first)}:"
            f" {', '.join(first)[:120]!r}."
        )
        raise BadDataError(problem, "Use the list as the owners distribute it.")
    names = [name or f"unnamed {i}" for i, name in enumerate(names)]
    try:
        table = pd.read_csv(
            file,
            header=None,
            names=names,
            index_col=False,
            skiprows=int(has_header),
            dtype=str,
            keep_default_na=False,
            skip_blank_lines=False,
            encoding="utf-8-sig",
            encoding_errors="replace",
        ).fillna("")
    except pd.errors.ParserError as error:
        problem = f"{file}: {str(error).strip()}."
        raise BadDataError(problem, "Use the list as the owners distribute it.") from None
    # Blank lines, and lines of nothing but commas, as spreadsheets leave them at the end.
    table = table[table.apply(lambda column: column.str.strip() != "").any(axis=1)]
    for column, unset in (
        ("expression", -1.0),
        ("valence", np.nan),
        ("arousal", np.nan),
        *((c, -1.0) for c in COLUMNS[1:5]),
    ):
        text = table[column].str.strip()
        numbers = pd.to_numeric(text, errors="coerce")
        wrong = np.flatnonzero(numbers.isna() & ~text.str.lower().isin(["", "null", "nan"]))
        if len(wrong):
            line = int(table.index[wrong[0]]) + 1 + has_header
            problem = f"{file}, line {line}: {column} is {text.iloc[wrong[0]]!r}, not a number."
            raise BadDataError(problem, f"{len(wrong)} such line(s); use the list as the owners distribute it.")
        table = table.assign(**{column: numbers.fillna(unset)})
    return table


def _image_folder(home: Path, paths: npt.NDArray[np.str_]) -> tuple[str, set[str]]:
    """The folder that the lists' paths are relative to, and every path of the lists that is in it."""
    parents = sorted({p.rpartition("/")[0] for p in paths.tolist()})
    best: tuple[str, set[str]] = (_IMAGE_FOLDERS[0], set())
    for folder in _IMAGE_FOLDERS:
        present = {
            f"{parent}/{name}".lstrip("/")
            for parent in parents
            if kind_of(home / folder / parent) == "folder"
            for name in names_in(home / folder / parent)
        }
        present.intersection_update(paths.tolist())
        if len(present) > len(best[1]):
            best = (folder, present)
        if len(best[1]) > len(paths) // 2:
            break
    if not best[1]:
        problem = f"{home}: none of the {len(paths)} listed images is in {', '.join(_IMAGE_FOLDERS)}."
        raise MissingDataError(problem, "Unpack the images next to the lists, with their numbered sub-folders.")
    return best


def _parse_landmarks(texts: pd.Series[str]) -> npt.NDArray[np.float32]:
    out = np.full((len(texts), 136), np.nan, dtype=np.float32)
    whole = (texts.str.count(";") == 135).to_numpy()
    if whole.any():
        values = np.array(";".join(texts[whole]).split(";"), dtype=object)
        numbers = pd.to_numeric(pd.Series(values), errors="coerce").to_numpy(dtype=np.float32)
        out[whole] = numbers.reshape(-1, 136)
    return out.reshape(-1, 68, 2)
