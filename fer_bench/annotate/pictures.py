"""Send the images of a study; those sent last stay in memory, since all raters see the same ones."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.responses import Response

from fer_bench.annotate.images import StudyImage

_MEMORY_BYTES = 128 * 2**20
# kept by the browser for minutes, so that the next picture can be fetched ahead and reaches the screen at once
_HEADERS = {"Cache-Control": "private, max-age=600", "Vary": "Cookie"}


class Pictures:
    """A cache of image files, bounded in bytes; the least recently sent go first."""

    def __init__(self, memory_bytes: int = _MEMORY_BYTES) -> None:
        self._size = self._room = memory_bytes
        self._kept: OrderedDict[Path, bytes] = OrderedDict()

    async def response(self, image: StudyImage) -> Response:
        """The image, ready to send.

        Raises:
            HTTPException: 404, the file is gone.
        """
        content = self._kept.get(image.file)
        if content is None:
            try:
                content = await asyncio.to_thread(image.file.read_bytes)
            except OSError:
                raise HTTPException(404, "This picture is missing on our side. Please skip it.") from None
            self._keep(image.file, content)
        else:
            self._kept.move_to_end(image.file)
        return Response(content, media_type=image.media_type, headers=_HEADERS)

    def _keep(self, file: Path, content: bytes) -> None:
        if file in self._kept or len(content) > self._size:
            return
        self._kept[file] = content
        self._room -= len(content)
        while self._room < 0:
            _, dropped = self._kept.popitem(last=False)
            self._room += len(dropped)
