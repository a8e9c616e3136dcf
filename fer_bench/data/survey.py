"""Image files of any number and size, looked at once and decoded when they are asked for: what
:func:`fer_bench.data.native.decode_images` gives, without a decoded copy of everything.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fer_bench.data.cache import Arrays, is_cached
from fer_bench.data.computed import read_or_compute
from fer_bench.data.decoding import load_image, resize
from fer_bench.data.native import Decoded, Seen, common_side, facts_of, seen_images, without_colour
from fer_bench.data.packed_copy import stored
from fer_bench.data.samples import Images

_VERSION = 1
# A decoded copy of more than this is not made unasked.
_LARGE = 8 * 2**30
_LARGEST_SIDE = 224
_BLOCK = 2048
_REASON = 160
_ROW = np.dtype(
    [
        ("digest", "u1", 20),
        ("pixels", "u1", 20),
        ("height", "i4"),
        ("width", "i4"),
        ("colour", "?"),
        ("unreadable", f"S{_REASON}"),
    ]
)


class NativeImages:
    """Image files, each decoded when it is asked for, to the pixels that :func:`~fer_bench.data.native.decode_images`
    would keep of it.

    Args:
        files: N image files, whole paths.
        side: what every image is resized to.
        gray: decode to one channel.
        colour: three channels.
        contents: shape (N, K), digests of the files.
        reduced: decode a JPEG at reduced scale where ``side`` is half of it or less.
    """

    def __init__(
        self,
        files: Sequence[Path],
        side: int,
        *,
        gray: bool,
        colour: bool,
        contents: npt.NDArray[np.uint8],
        reduced: bool = False,
    ) -> None:
        # As one array: a list of paths is copied page by page into every loader process.
        self._files = np.array([str(file) for file in files])
        self._side, self._gray, self._colour, self._contents = side, gray, colour, contents
        self._reduced = reduced

    @property
    def form(self) -> str:
        """What the pixels depend on besides the files."""
        kind = "grey" if self._gray else "RGB" if self._colour else "grey where equal"
        return f"native, {self._side} px, {kind}, {'reduced' if self._reduced else 'full'}, {_VERSION}"

    @property
    def shape(self) -> tuple[int, ...]:
        """Of each image."""
        return (self._side, self._side, 3) if self._colour else (self._side, self._side)

    def rows(self) -> npt.NDArray[np.uint8]:
        """As :meth:`fer_bench.data.packed.FromFiles.rows`."""
        return self._contents

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, index: int) -> npt.NDArray[np.uint8]:
        """One image, (side, side) or (side, side, 3) RGB."""
        path = Path(str(self._files[index]))
        image = resize(without_colour(load_image(path, gray=self._gray, side=self._reduced_to)), self._side)
        if self._colour and image.ndim == 2:
            return np.repeat(image[..., None], 3, axis=2)
        return image

    @property
    def _reduced_to(self) -> int | None:
        return self._side if self._reduced else None


def is_streamed(dataset: str, key: str, asked: str, n: int, side: int | None) -> bool:
    """Whether images are decoded when they are asked for, and not once before.

    Args:
        dataset: its name in the cache.
        key: of the decoded copy there.
        asked: ``auto``, ``stream`` or ``packed``, as of :class:`fer_bench.spec.Execution`; ``auto`` decodes once,
            unless a decoded copy would be large or there is a packed one of that side.
        n: images.
        side: of each; None: not known.
    """
    if asked != "auto":
        return True
    large = n * 3 * (side or _LARGEST_SIDE) ** 2 > _LARGE
    return not is_cached(dataset, key) and (large or any(side in (None, copy.shape[0]) for copy in stored(dataset)))


def survey_images(
    files: Sequence[Path],
    contents: npt.NDArray[np.uint8],
    labels: npt.NDArray[Any],
    side: int | None = None,
    *,
    gray: bool | None = None,
    reduced: bool = False,
) -> Decoded:
    """Look at images, several at once; a pass that was interrupted resumes where it stopped.

    Args:
        files: N image files.
        contents: shape (N, 32), digests of the files.
        labels: shape (N,) or (N, D); part of the digests, in their own type.
        side: what every image is resized to; None: :func:`~fer_bench.data.native.common_side`.
        gray: as of :func:`~fer_bench.data.native.decode_images`.
        reduced: as of :class:`NativeImages`.

    Returns:
        As of :func:`~fer_bench.data.native.decode_images`, but the images are in their files.
    """
    target = side or common_side(files)
    about = {
        "survey": _VERSION,
        "contents": hashlib.sha256(contents.tobytes()).hexdigest(),
        "labels": hashlib.sha256(str(labels.dtype).encode() + np.ascontiguousarray(labels).tobytes()).hexdigest(),
        "gray": gray,
    }

    def rows(start: int) -> Iterator[npt.NDArray[Any]]:
        for block in range(start, len(files), _BLOCK):
            end = min(block + _BLOCK, len(files))
            yield np.array(
                [_row(seen) for seen in seen_images(files[block:end], labels[block:end], None, gray)], dtype=_ROW
            )

    found = np.asarray(read_or_compute(about, len(files), rows, _ROW, _BLOCK).values)
    kept = np.flatnonzero(found["unreadable"] == b"")
    sizes = found[kept]
    images = NativeImages(
        [files[at] for at in kept.tolist()],
        target,
        gray=bool(gray),
        colour=gray is False or bool(sizes["colour"].any()),
        contents=contents[kept],
        reduced=reduced,
    )
    bad = [(at, reason.decode("utf-8", "ignore")) for at, reason in enumerate(found["unreadable"].tolist()) if reason]
    facts = facts_of(np.stack([sizes["width"], sizes["height"], sizes["colour"]], axis=1).astype(np.int64))
    return Decoded(kept, images, sizes["digest"], sizes["pixels"], bad, facts)


def arrays_of(decoded: Decoded) -> Arrays:
    """What of images a reader puts into its cache, for :func:`images_of`."""
    if isinstance(decoded.images, np.ndarray):
        return {"images": decoded.images}
    assert isinstance(decoded.images, NativeImages)
    return {"kept": decoded.kept, "shape": np.array(decoded.images.shape)}


def images_of(
    arrays: Arrays,
    files: Sequence[Path],
    contents: npt.NDArray[np.uint8],
    *,
    gray: bool | None = None,
    reduced: bool = False,
) -> Images | npt.NDArray[np.uint8]:
    """The images of a cache: decoded there, or in their files.

    Args:
        arrays: with those of :func:`arrays_of`.
        files: as of :func:`survey_images`.
        contents: likewise.
        gray: likewise.
        reduced: likewise.
    """
    if "images" in arrays:
        return arrays["images"]
    kept, shape = np.asarray(arrays["kept"]), arrays["shape"].tolist()
    return NativeImages(
        [files[at] for at in kept.tolist()],
        shape[0],
        gray=bool(gray),
        colour=len(shape) == 3,
        contents=contents[kept],
        reduced=reduced,
    )


def _row(seen: Seen | str) -> tuple[Any, ...]:
    if isinstance(seen, str):
        return (np.zeros(20, np.uint8), np.zeros(20, np.uint8), 0, 0, False, seen.encode()[:_REASON])
    digests = (np.frombuffer(digest, dtype=np.uint8) for digest in (seen.digest, seen.pixels))
    return (*digests, seen.height, seen.width, seen.colour, b"")
