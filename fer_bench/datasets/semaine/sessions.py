"""What is in SEMAINE's folders: sessions, their XML, raters' FeelTrace files; and the AVEC variant with one CSV per
session. No video is opened here.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import numpy.typing as npt

from fer_bench.clutter import is_clutter
from fer_bench.data.readable import readable
from fer_bench.errors import BadDataError, SpecError
from fer_bench.untrusted import read_regular

Float = npt.NDArray[np.float64]
ROLES = {"U": "User", "O": "Operator"}
MERGES = ("mean", "ccc")
VIDEOS = (".avi", ".mp4", ".mov", ".mkv", ".mpg")
STEP = 0.02
_TRACE = re.compile(r"T([UO]).*D([VA])\.txt$", re.IGNORECASE)
_AVEC = re.compile(r"^T([UO])_VA\.csv$", re.IGNORECASE)
# A value that is further outside -1 to 1 than rounding explains was never a FeelTrace value.
_LIMIT = 1.001
_MOST_XML = 2**24


Reader = Callable[[Path, str, list[tuple[str, str]]], Iterator["Recording"]]


@dataclass(frozen=True)
class Recording:
    """One person in one session, with merged ratings.

    Args:
        session: its id.
        role: ``User`` or ``Operator``.
        subject: id of the person; empty where the release does not say.
        video: the person's video.
        times: shape (T,), seconds.
        values: shape (T, 2), valence and arousal, -1 to 1.
        raters: how many rated it.
    """

    session: str
    role: str
    subject: str
    video: Path
    times: Float
    values: Float
    raters: int

    @property
    def name(self) -> str:
        """``<session>-<role>``: the clip."""
        return f"{self.session}-{self.role}"


def find_recordings(root: Path, merge: str = "mean") -> tuple[str, list[Recording], list[tuple[str, str]]]:
    """Look for either variant.

    Args:
        root: the dataset's folder.
        merge: how raters are merged, see :func:`merge_traces`.

    Returns:
        Which variant it is (empty: none), the recordings, and what could not be used, with the reason.

    Raises:
        BadDataError: a ratings file does not hold what the format says.
        SpecError: an unknown way of merging.
    """
    if merge not in MERGES:
        problem = f"dataset_options.merge = {merge!r}: there is no such way of merging raters."
        raise SpecError(problem, f"Use {' or '.join(MERGES)}.")
    unusable: tuple[str, list[Recording], list[tuple[str, str]]] = ("", [], [])
    for variant, folder, reader in _layouts(root):
        left_out: list[tuple[str, str]] = []
        found = [recording for place in _by_number(folder) for recording in reader(place, merge, left_out)]
        if found:
            return variant, found, left_out
        # The folder of media of one layout looks like an empty copy of another.
        if left_out and not unusable[0]:
            unusable = (variant, [], left_out)
    return unusable


def _layouts(root: Path) -> Iterator[tuple[str, Path, Reader]]:
    """Where sessions may be, and how they are read there: the release, then AVEC's variant, then sessions without a
    folder around them.
    """
    sessions = _named(root, "Sessions")
    if sessions is not None:
        yield "sessions", sessions, _session
    ratings = _named(root, "TrainingInput")
    if ratings is not None:
        yield "AVEC", ratings, partial(_avec_session, media=sessions)
    if root.is_dir():
        yield "sessions", root, _session


def _there(folder: Path) -> list[Path]:
    """What is in a folder, in order, without what systems leave behind (``._R5S1TUCPoDA.txt`` looks like a trace)."""
    return sorted(path for path in folder.iterdir() if not is_clutter(path.relative_to(folder)))


def _named(folder: Path, name: str) -> Path | None:
    """A sub-folder in any case: AVEC writes ``sessions``, the release ``Sessions``; as it is written here where both
    are there.
    """
    found = (
        [path for path in _there(folder) if path.name.lower() == name.lower() and path.is_dir()]
        if folder.is_dir()
        else []
    )
    return min(found, key=lambda path: path.name != name, default=None)


def _by_number(folder: Path) -> list[Path]:
    places = [place for place in _there(folder) if place.is_dir()]
    return sorted(places, key=lambda place: (len(place.name), place.name))


def _session(folder: Path, merge: str, left_out: list[tuple[str, str]]) -> Iterator[Recording]:
    tree, broken = _session_xml(folder)
    if tree is None:
        if broken is not None:
            left_out.append((str(broken), "no readable session XML"))
        return
    session = tree.get("sessionId") or folder.name
    people = _people(tree)
    listed = {
        note.get("filename", "")
        for track in _tracks(tree)
        for note in track.iter("annotation")
        if note.get("type") == "FeelTrace"
    }
    present = {path.name for path in _there(folder) if path.suffix.lower() == ".txt" and path.is_file()}
    names = sorted(name for name in listed & present or present if _TRACE.search(name))
    for letter, role in ROLES.items():
        traces = {dimension: [folder / name for name in names if _is(name, letter, dimension)] for dimension in "VA"}
        if not all(traces.values()):
            if any(traces.values()):
                left_out.append((f"{folder}: {role}", "valence or arousal without the other"))
            continue
        video = _video(folder, tree, role)
        if video is None:
            left_out.append((f"{folder}: {role}", "no video"))
            continue
        times, values = _merged([[_read_trace(path) for path in traces[dimension]] for dimension in "VA"], merge)
        yield Recording(
            session, role, people.get(role, ""), video, times, values, min(len(paths) for paths in traces.values())
        )


def _session_xml(folder: Path) -> tuple[ElementTree.Element | None, Path | None]:
    """The session's XML, or the first file that was not it."""
    found = [path for path in _there(folder) if path.suffix.lower() == ".xml"]
    for path in found:
        try:
            tree = ElementTree.fromstring(read_regular(path, _MOST_XML))
        except (ElementTree.ParseError, LookupError, ValueError, OSError):
            # Besides what is no XML: an encoding that nobody knows, a folder or a link of such a name.
            continue
        if tree.tag == "session":
            return tree, None
    return None, found[0] if found else None


def _people(tree: ElementTree.Element) -> dict[str, str]:
    return {subject.get("role", ""): subject.get("id", "") for subject in tree.iter("subject")}


def _is(name: str, letter: str, dimension: str) -> bool:
    match = _TRACE.search(name)
    return match is not None and (match[1].upper(), match[2].upper()) == (letter, dimension)


def _tracks(tree: ElementTree.Element) -> list[ElementTree.Element]:
    return [track for track in tree.iter("track") if track.get("type") == "AV"]


def _video(folder: Path, tree: ElementTree.Element | None, role: str) -> Path | None:
    """The person's video: listed, named after the role, in colour; or the only one there is."""
    # Names alone: what a session's XML lists is in its folder, and nowhere else.
    listed = [] if tree is None else [folder / Path(track.get("filename", "")).name for track in _tracks(tree)]
    present = [path for path in _there(folder) if path.suffix.lower() in VIDEOS]
    candidates = [path for path in listed if path.is_file() and path.suffix.lower() in VIDEOS] or present
    named = [path for path in candidates if role.lower() in path.name.lower()] or [
        path for path in present if role.lower() in path.name.lower()
    ]
    if named:
        return max(
            named,
            key=lambda path: (
                "headandshoulders" in path.name.lower(),
                bool(re.search(r"_C\d?\.", path.name)),
                path.name,
            ),
        )
    others = [other.lower() for other in ROLES.values() if other != role]
    return (
        candidates[0]
        if len(candidates) == 1 and not any(other in candidates[0].name.lower() for other in others)
        else None
    )


def _read_trace(path: Path) -> tuple[Float, Float]:
    """Times and values of one rater's file."""
    times: list[float] = []
    values: list[float] = []
    for number, line in enumerate(path.read_text(errors="replace").splitlines(), start=1):
        cells = line.split()
        if not cells:
            continue
        try:
            time, value = (float(cell) for cell in cells)
        except ValueError:
            problem = f"{path}, line {number}: expected a time and a value, found {line.strip()[:60]!r}."
            raise BadDataError(problem, "Unpack the session again.") from None
        _check(value, path, number)
        times.append(time)
        values.append(value)
    if not times:
        problem = f"{path}: the file is empty."
        raise BadDataError(problem, "Unpack the session again, or delete the file.")
    return np.array(times), np.array(values)


def _check(value: float, path: Path, number: int) -> None:
    if not abs(value) <= _LIMIT:
        problem = f"{path}, line {number}: the value {value} is outside -1 to 1."
        raise BadDataError(problem, "Unpack the session again.")


def _merged(dimensions: Sequence[Sequence[tuple[Float, Float]]], merge: str) -> tuple[Float, Float]:
    length = min(len(values) for raters in dimensions for _, values in raters)
    values = [merge_traces([values[:length] for _, values in raters], merge) for raters in dimensions]
    return dimensions[0][0][0][:length], np.clip(np.stack(values, axis=1), -1, 1)


def merge_traces(traces: Sequence[Float], how: str) -> Float:
    """One trace out of several raters', truncated to the shortest.

    Args:
        traces: each of shape (T_r,).
        how: ``mean`` averages (the thesis). ``ccc`` centres first: every trace is shifted to a common mean, in which a
            rater counts by the mean CCC with the others, so that one who is off by a constant does not pull the
            average.

    Returns:
        Shape (min T_r,).
    """
    stacked = np.stack([trace[: min(map(len, traces))] for trace in traces])
    if how == "mean" or len(stacked) < 2:
        return np.asarray(stacked.mean(axis=0))
    means = stacked.mean(axis=1)
    variances = stacked.var(axis=1)
    cov = np.cov(stacked, ddof=0)
    spread = variances[:, None] + variances[None, :] + (means[:, None] - means[None, :]) ** 2
    agreement = np.divide(2 * cov, spread, out=np.zeros_like(cov), where=spread > 0)
    weights = np.maximum((agreement.sum(axis=1) - agreement.diagonal()) / (len(stacked) - 1), 0)
    centre = np.average(means, weights=weights) if weights.sum() > 0 else means.mean()
    return np.asarray((stacked - means[:, None]).mean(axis=0) + centre)


def _avec_session(
    folder: Path, merge: str, left_out: list[tuple[str, str]], media: Path | None = None
) -> Iterator[Recording]:
    """One session of AVEC's variant, whose media and XML are in ``sessions/<id>/`` next to ``TrainingInput/``, or with
    the ratings.
    """
    beside = None if media is None else _of_session(media, folder.name)
    places = [folder] if beside is None else [folder, beside]
    tree = next((tree for place in places if (tree := _session_xml(place)[0]) is not None), None)
    for path in _there(folder):
        match = _AVEC.match(path.name)
        if not match:
            continue
        role = ROLES[match[1].upper()]
        video = next((video for place in places if (video := _video(place, tree, role)) is not None), None)
        if video is None:
            left_out.append((str(path), f"no video of the {role} in {' or '.join(map(str, places))}"))
            continue
        times, values = _read_avec(path)
        yield Recording(folder.name, role, "" if tree is None else _people(tree).get(role, ""), video, times, values, 1)


def _of_session(media: Path, session: str) -> Path | None:
    """The folder of a session, whose number may be written with or without zeros in front (``7``, ``007``)."""
    same = session.lstrip("0")
    return next(
        (
            place
            for place in _by_number(media)
            if place.name == session or (same.isdigit() and place.name.lstrip("0") == same)
        ),
        None,
    )


def _read_avec(path: Path) -> tuple[Float, Float]:
    with readable(path, "Unpack the session again."), path.open(newline="", encoding="utf-8-sig") as stream:
        rows = csv.reader(stream)
        header = [name.strip().lower() for name in next(rows, [])]
        if not {"valence", "arousal"} <= set(header):
            problem = f"{path}, line 1: expected the columns Valence and Arousal, found {', '.join(header)[:80]!r}."
            raise BadDataError(problem, "Unpack the session again.")
        at = [header.index("valence"), header.index("arousal")]
        time_at = next((i for i, name in enumerate(header) if name.startswith("time")), None)
        values: list[list[float]] = []
        times: list[float] = []
        for row in rows:
            # Blank lines, and lines of nothing but commas, as spreadsheets leave them at the end.
            if not any(cell.strip() for cell in row):
                continue
            try:
                values.append([float(row[i]) for i in at])
                times.append(len(times) * STEP if time_at is None else float(row[time_at]))
            except (ValueError, IndexError):
                problem = f"{path}, line {rows.line_num}: expected numbers, found {','.join(row)[:60]!r}."
                raise BadDataError(problem, "Unpack the session again.") from None
            for value in values[-1]:
                _check(value, path, rows.line_num)
    if not values:
        problem = f"{path}: no rows."
        raise BadDataError(problem, "Unpack the session again.")
    return np.array(times), np.clip(np.array(values), -1, 1)
