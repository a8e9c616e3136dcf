"""Image files that are decoded when they are asked for: cropped, resized, and kept in a cache that fills as it is
used.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from fer_bench import paths
from fer_bench.data.decoding import decode, load_image, shrinks
from fer_bench.data.packed import row_digests
from fer_bench.errors import BadDataError
from fer_bench.image_files import UnreadableImageError, check_size, read_content, read_header

Landmarks = npt.NDArray[np.float32]
# Of how pixels are made of a file.
_VERSION = "1"
_PNG_BEGIN, _PNG_END = b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82"


def png_size(path: Path) -> tuple[int, int] | str:
    """Width and height of a PNG file from its first bytes, or what is wrong with it: no PNG, truncated, or too large to
    be decoded.
    """
    try:
        start = read_content(path, 24)
        header = read_header(start)
        if header is None or header.kind != "png":
            return "truncated" if _PNG_BEGIN.startswith(start[:8]) else "not a PNG file"
        check_size(header, start)
        with path.open("rb") as file:
            file.seek(-8, os.SEEK_END)
            tail = file.read(8)
    except UnreadableImageError as error:
        return "no image file" if not path.exists() else error.reason
    except OSError:
        return "truncated"
    return (header.width, header.height) if tail == _PNG_END else "truncated"


def face_box(landmarks: npt.NDArray[np.floating], margin: float = 0.1) -> npt.NDArray[np.float64]:
    """The box around the extreme landmarks, widened.

    Args:
        landmarks: shape (..., 68, 2), x and y in pixels.
        margin: share of the box' own width and height that is added on each side.

    Returns:
        Shape (..., 4): left, top, right, bottom; it may reach outside the image.
    """
    low, high = landmarks.min(axis=-2).astype(np.float64), landmarks.max(axis=-2).astype(np.float64)
    added = (high - low) * margin
    return np.concatenate([low - added, high + added], axis=-1)


def pixels_of(box: npt.ArrayLike, width: int, height: int) -> tuple[int, int, int, int] | None:
    """The whole pixels of a box within an image: left, top, right, bottom (exclusive); None where nothing is left of
    it, or a corner is not finite.
    """
    corners = np.asarray(box, dtype=np.float64)
    if not np.isfinite(corners).all():
        return None
    left, top, right, bottom = (float(v) for v in corners)
    x0, y0 = max(int(np.floor(left)), 0), max(int(np.floor(top)), 0)
    x1, y1 = min(int(np.ceil(right)), width), min(int(np.ceil(bottom)), height)
    return (x0, y0, x1, y1) if x1 - x0 >= 2 and y1 - y0 >= 2 else None


def crop(image: npt.NDArray[np.uint8], box: tuple[int, int, int, int], size: int) -> npt.NDArray[np.uint8]:
    """Cut a box out and scale it to a square, whatever its proportions (the thesis does so).

    Args:
        image: (H, W, 3).
        box: left, top, right, bottom, within the image.
        size: side of the result.
    """
    x0, y0, x1, y1 = box
    part = image[y0:y1, x0:x1]
    method = cv2.INTER_AREA if max(part.shape[:2]) > size else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(np.ascontiguousarray(part), (size, size), interpolation=method), dtype=np.uint8)


def carry(landmarks: npt.NDArray[np.floating], box: npt.ArrayLike, size: int) -> Landmarks:
    """Landmarks in the coordinates of the crop.

    Args:
        landmarks: shape (..., 68, 2), x and y in the image.
        box: shape (..., 4), as :func:`crop` takes it.
        size: side of the crop.
    """
    edges = np.asarray(box, dtype=np.float64)[..., None, :]
    return ((landmarks - edges[..., :2]) * (size / (edges[..., 2:] - edges[..., :2]))).astype(np.float32)


class FileImages:
    """Images in files, decoded one by one.

    Args:
        root: folder that the paths are relative to.
        files: N paths.
        size: side of the result.
        boxes: shape (N, 4), left, top, right, bottom in pixels; a row of -1, or None: the whole image.
        cache: name of a cache that keeps the decoded crops; empty: none. It must name everything that the crops depend
            on.
        contents: shape (N, K), digests of the files, by which a packed copy is recognised; None: there is none.
        reduced: decode a JPEG at reduced scale where what is kept of it is smaller by half or more.
    """

    def __init__(
        self,
        root: Path,
        files: Sequence[str] | npt.NDArray[np.str_],
        size: int,
        boxes: npt.NDArray[np.generic] | None = None,
        cache: str = "",
        *,
        contents: npt.NDArray[np.uint8] | None = None,
        reduced: bool = False,
    ) -> None:
        self.root, self.files, self.size, self.boxes = root, np.asarray(files, dtype=str), size, boxes
        self.reduced, self._contents = reduced, contents
        self._store = CropStore(cache + "-reduced" * reduced, len(self.files), size) if cache else None

    @property
    def form(self) -> str:
        """What the pixels depend on besides files and boxes."""
        return f"{self.size} px, {'reduced' if self.reduced else 'full'}, {_VERSION}"

    def rows(self) -> npt.NDArray[np.uint8]:
        """As :meth:`fer_bench.data.packed.FromFiles.rows`: of file and box."""
        if self._contents is None:
            return np.zeros((0, 0), dtype=np.uint8)
        whole = np.full((len(self.files), 4), -1.0) if self.boxes is None else np.asarray(self.boxes, np.float64)
        return row_digests(whole.tolist(), self._contents)

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> npt.NDArray[np.uint8]:
        """One image, (size, size, 3) RGB."""
        if self._store is not None and (known := self._store.get(index)) is not None:
            return known
        path = self.root / str(self.files[index])
        given = None if self.boxes is None else np.asarray(self.boxes[index], dtype=np.float64)
        given = None if given is None or (given == -1).all() else given
        image, shrunk = self._decoded(path, given)
        height, width = image.shape[:2]
        box = (0, 0, width, height) if given is None else pixels_of(given / shrunk, width, height)
        if box is None:
            problem = f"{path}: the face box is outside the image of {width} x {height} px."
            raise BadDataError(problem, "Delete the file: samples without one are left out and counted.")
        result = crop(image, box, self.size)
        if self._store is not None:
            self._store.put(index, result)
        return result

    def _decoded(self, path: Path, box: npt.NDArray[np.float64] | None) -> tuple[npt.NDArray[np.uint8], int]:
        """A picture, and how many times shorter its sides are than those of the file."""
        if not self.reduced:
            return load_image(path), 1
        try:
            content = read_content(path)
            part = None if box is None else float(min(box[2] - box[0], box[3] - box[1]))
            times = shrinks(read_header(content), self.size, part)
            return decode(content, gray=False, shrink=times), times
        except UnreadableImageError as error:
            raise UnreadableImageError(error.reason, path) from None


class CropStore:
    """Crops on disk, each written when it is first decoded; safe among processes, because all write the same bytes to
    the same place.

    Args:
        name: of the cache.
        n: crops.
        size: their side.
    """

    def __init__(self, name: str, n: int, size: int) -> None:
        self._folder = paths.cache_dir() / "crops" / f"{name}-{n}-{size}"
        self._n, self._size = n, size
        self._bytes = size * size * 3
        self._process = -1
        self._full = False

    def __getstate__(self) -> dict[str, object]:
        return {key: value for key, value in self.__dict__.items() if key not in ("_pixels", "_done")} | {
            "_process": -1
        }

    def get(self, index: int) -> npt.NDArray[np.uint8] | None:
        """A crop, or None if it is not there yet."""
        if not self._open() or os.pread(self._done, 1, index) != b"\x01":
            return None
        content = os.pread(self._pixels, self._bytes, index * self._bytes)
        return (
            np.frombuffer(content, dtype=np.uint8).reshape(self._size, self._size, 3).copy()
            if len(content) == self._bytes
            else None
        )

    def put(self, index: int, image: npt.NDArray[np.uint8]) -> None:
        """Keep a crop; a full disk only means that it is decoded again next time."""
        if self._full or not self._open():
            return
        try:
            # pwrite, not a memory map: on a full disk that would end the process with SIGBUS.
            if os.pwrite(self._pixels, image.tobytes(), index * self._bytes) == self._bytes:
                os.pwrite(self._done, b"\x01", index)
        except OSError:
            self._full = True

    def _open(self) -> bool:
        if self._process == os.getpid():
            return True
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._pixels, self._done = (
                os.open(self._folder / name, os.O_RDWR | os.O_CREAT, 0o644) for name in ("pixels", "done")
            )
        except OSError:
            return False
        self._process = os.getpid()
        return True
