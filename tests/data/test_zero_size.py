"""A header that announces no pixels is refused before a decoder sees it, which would write to the terminal."""

from __future__ import annotations

import struct
import zlib

import pytest

from fer_bench.data.decoding import decode
from fer_bench.image_files import UnreadableImageError


def test_a_png_without_pixels(capfd):
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", 0, 0, 8, 0, 0, 0, 0)), (b"IDAT", zlib.compress(b"")), (b"IEND", b"")]
    content = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )
    with pytest.raises(UnreadableImageError, match="0 x 0 px: no pixels at all"):
        decode(content, gray=True)
    assert capfd.readouterr() == ("", "")
