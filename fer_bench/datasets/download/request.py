"""One request for one image: its answer goes into a file, whole, or ends in a reason."""

from __future__ import annotations

import asyncio
import itertools
import re
import ssl
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from fer_bench.datasets.download.body import BodyDecoder, BodyError, image_defect
from fer_bench.datasets.download.limits import DownloadLimits

if TYPE_CHECKING:
    import httpx

    from fer_bench.datasets.download.guard import Clients

# Answers that may be another one tomorrow: not remembered as gone.
_TEMPORARY_STATUS = frozenset({408, 425, 429, *range(500, 600)})
# The server has the image, or does not say; it refuses this client, this place, or everybody without an account.
_FORBIDDEN_STATUS = frozenset({401, 402, 403, 406, 407, 451, 999})
_LATER_STATUS = frozenset({429, 503})
_LONGEST_PAUSE = 120.0
_UNSTATED_PAUSE = 30  # intervals, after "too many requests" without a time
_SHOWN = 200  # characters of an exception


class LinkError(Exception):
    """A link that did not lead to an image.

    Args:
        reason: for the table of what is missing.
        temporary: it may lead to one later.
        forbidden: the server refuses to give it.
        silent: the host did not answer.
        pause: seconds after which the host wants to be asked again; 0 where it does not say.
    """

    def __init__(
        self,
        reason: str,
        *,
        temporary: bool = False,
        forbidden: bool = False,
        silent: bool = False,
        pause: float = 0.0,
    ) -> None:
        self.temporary, self.forbidden, self.silent, self.pause = temporary or silent, forbidden, silent, pause
        super().__init__(reason)


class Fetcher:
    """Asks for images.

    Args:
        clients: see :class:`~fer_bench.datasets.download.guard.Clients`.
        limits: timeouts and sizes.
        parts: folder of unfinished files.
        decoders: threads that decode images.
    """

    def __init__(self, clients: Clients, limits: DownloadLimits, parts: Path, decoders: ThreadPoolExecutor) -> None:
        self._clients, self._limits, self._parts, self._decoders = clients, limits, parts, decoders
        self._numbers = itertools.count()

    async def defect(self, path: Path) -> str | None:
        """Why a file is not an image, or None if it is."""
        return await asyncio.get_running_loop().run_in_executor(self._decoders, image_defect, path)

    async def ask(self, url: httpx.URL, target: Path) -> httpx.URL | None:
        """Fetch one address into place.

        Returns:
            Where the server sends us instead; None when the image is in place.

        Raises:
            LinkError: it is not an image; nothing is left.
            OSError: of the disk.
        """
        from fer_bench.datasets.download.guard import RefusedLinkError

        part = self._parts / f"{next(self._numbers)}.part"
        try:
            # Timeouts of the client bound the pause between two bytes, not their number.
            async with asyncio.timeout(self._limits.total_timeout):
                elsewhere = await self._receive(url, part)
            if elsewhere is not None:
                return elsewhere
            defect = await self.defect(part)
            if defect:
                raise LinkError(defect)
            target.parent.mkdir(parents=True, exist_ok=True)
            part.replace(target)
        except RefusedLinkError as error:
            raise LinkError(str(error), temporary=not error.permanent) from error
        except BodyError as error:
            raise LinkError(str(error)) from error
        except TimeoutError as error:
            reason = f"took longer than {self._limits.total_timeout:g} s"
            raise LinkError(reason, silent=True) from error
        except (LinkError, OSError):  # the network's OSErrors have become link errors: these are the disk's
            raise
        except Exception as error:
            raise _unexpected(error) from error
        finally:
            part.unlink(missing_ok=True)
        return None

    async def _receive(self, url: httpx.URL, part: Path) -> httpx.URL | None:
        client = self._clients.of(url)
        try:
            answer = await client.send(client.build_request("GET", url), stream=True)
        except OSError as error:
            raise _unexpected(error) from error
        client.cookies.clear()
        try:
            if answer.next_request is not None:
                return answer.next_request.url
            await self._store(answer, part)
        finally:
            await answer.aclose()
        return None

    async def _store(self, answer: httpx.Response, part: Path) -> None:
        status = answer.status_code
        if status != 200:
            reason = f"HTTP {status}"
            raise LinkError(
                reason,
                temporary=status in _TEMPORARY_STATUS,
                forbidden=status in _FORBIDDEN_STATUS,
                pause=self._pause(answer),
            )
        too_large = f"larger than {self._limits.max_bytes} bytes"
        announced = answer.headers.get("content-length", "")
        if re.fullmatch("[0-9]{1,18}", announced) and int(announced) > self._limits.max_bytes:
            raise LinkError(too_large)
        decoder = BodyDecoder(answer.headers.get("content-encoding", ""))
        arrived = decoded = 0
        with part.open("wb") as file:
            async with aclosing(_arriving(answer)) as chunks:
                async for chunk in chunks:
                    arrived += len(chunk)
                    for piece in decoder.pieces(chunk):
                        decoded += len(piece)
                        if max(arrived, decoded) > self._limits.max_bytes:
                            raise LinkError(too_large)
                        file.write(piece)

    def _pause(self, answer: httpx.Response) -> float:
        if answer.status_code not in _LATER_STATUS:
            return 0.0
        said = answer.headers.get("retry-after", "")
        if re.fullmatch("[0-9]{1,6}", said):
            # Where it is longer, this download does not wait for it.
            return float(said) if float(said) <= _LONGEST_PAUSE else 0.0
        return _UNSTATED_PAUSE * self._limits.host_interval if answer.status_code == 429 else 0.0


async def _arriving(answer: httpx.Response) -> AsyncGenerator[bytes, None]:
    try:
        async for chunk in answer.aiter_raw():
            yield chunk
    except OSError as error:
        raise _unexpected(error) from error


def _unexpected(error: Exception) -> LinkError:
    import httpcore
    import httpx

    # Refused connections and unknown names too: nobody is there to say anything.
    silent = (httpcore.TimeoutException, httpcore.NetworkError, httpx.TimeoutException, httpx.NetworkError)
    return LinkError(
        f"{type(error).__name__} {error}".strip()[:_SHOWN], temporary=True, silent=isinstance(error, silent)
    )


@cache
def certificates() -> ssl.SSLContext:
    """Trusted certificates: slow to read, so only once."""
    import httpx

    return httpx.create_ssl_context()
