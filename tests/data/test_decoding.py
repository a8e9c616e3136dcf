"""Image files as hostile or careless people leave them: none ends a command, each is an image or has a reason."""

from __future__ import annotations

import io
import os
import pickle
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from fer_bench import image_files
from fer_bench.data.decoding import MAX_PIXELS, decode, images_below, in_natural_order, load_image, read_image
from fer_bench.data.images import FileImages, png_size
from fer_bench.errors import BadDataError
from fer_bench.image_files import UnreadableImageError, read_header

FORMATS = {"PNG": {}, "JPEG": {}, "BMP": {}, "WEBP": {}, "TIFF": {"compression": "tiff_lzw"}, "GIF": {}}
PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 255, (60, 80, 3), dtype=np.uint8))


def encoded(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def huge_png(width, height):
    """A PNG that announces a size and holds nothing of it."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def huge(kind):
    """An image of each kind whose header announces 40,000 x 40,000 pixels (what the format can say, where that is
    less)."""
    content = bytearray(encoded(PICTURE, kind, **FORMATS[kind]))
    side = 40_000
    if kind == "PNG":
        return huge_png(side, side)
    if kind == "JPEG":
        at = content.index(b"\xff\xc0") + 5
        content[at : at + 4] = struct.pack(">HH", side, side)
    elif kind == "BMP":
        content[18:26] = struct.pack("<ii", side, -side)
    elif kind == "WEBP":
        content[26:30] = struct.pack("<HH", 16383, 16383)
    elif kind == "GIF":
        content[6:10] = struct.pack("<HH", side, side)
    else:
        (at,) = struct.unpack_from("<I", content, 4)
        for i in range(struct.unpack_from("<H", content, at)[0]):
            entry = at + 2 + 12 * i
            if struct.unpack_from("<H", content, entry)[0] in (256, 257):
                content[entry : entry + 12] = struct.pack(
                    "<HHII", struct.unpack_from("<H", content, entry)[0], 4, 1, side
                )
    return bytes(content)


@pytest.mark.parametrize("kind", FORMATS)
def test_headers_say_what_decoders_find(kind):
    content = encoded(PICTURE, kind, **FORMATS[kind])
    assert read_header(content) == (kind.lower(), 80, 60)
    assert decode(content, gray=False).shape == (60, 80, 3)
    assert decode(content, gray=True).shape == (60, 80)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("WEBP", {"lossless": True}),
        ("WEBP", {"exif": b"Exif\0\0II*\0\x08\0\0\0\0\0"}),
        ("JPEG", {"progressive": True}),
        ("JPEG", {"exif": b"Exif\0\0" + b"\xff\xd8\xff\xc0\0\x11\x08\0\x01\0\x01" * 3}),
        ("TIFF", {"big_tiff": True}),
        ("PNG", {"save_all": True, "append_images": [PICTURE.rotate(90)]}),
    ],
)
def test_headers_of_other_flavours(kind, options):
    content = encoded(PICTURE, kind, **options)
    assert read_header(content) == (kind.lower(), 80, 60)
    assert decode(content, gray=False).shape == (60, 80, 3)


@pytest.mark.parametrize("kind", FORMATS)
def test_too_large_is_refused_by_the_header_alone(kind, tmp_path, monkeypatch):
    def never(*_):
        pytest.fail("it was decoded")

    monkeypatch.setattr(cv2, "imdecode", never)
    path = tmp_path / f"x.{kind.lower()}"
    path.write_bytes(huge(kind))
    with pytest.raises(
        UnreadableImageError, match=r"x\..*: an image of [\d,]+ x [\d,]+ px: more than 64 million pixels"
    ) as caught:
        load_image(path)
    assert isinstance(caught.value, BadDataError)
    assert read_image(path) is None
    assert png_size(path) == (caught.value.reason if kind == "PNG" else "not a PNG file")


def test_the_limit_counts_pixels_not_sides():
    assert read_header(huge_png(MAX_PIXELS, 1)).pixels == MAX_PIXELS
    with pytest.raises(UnreadableImageError, match="damaged or truncated PNG"):
        decode(huge_png(MAX_PIXELS, 1), gray=True)
    with pytest.raises(UnreadableImageError, match="more than 64 million"):
        decode(huge_png(MAX_PIXELS + 1, 1), gray=True)


@pytest.mark.parametrize("times", [40, pytest.param(300, marks=pytest.mark.proof)])
@pytest.mark.parametrize("kind", FORMATS)
def test_no_cut_and_no_damage_ends_in_anything_but_a_reason(kind, times):
    content, rng = encoded(PICTURE, kind, **FORMATS[kind]), np.random.default_rng(1)
    for length in (0, 1, 3, 8, 12, 20, 26, 30, 64, len(content) // 2, len(content) - 30):
        with pytest.raises(UnreadableImageError):
            decode(content[:length], gray=False)
    for _ in range(times):
        damaged = bytearray(content)
        for at in rng.integers(0, min(len(damaged), 200), 6):
            damaged[at] = rng.integers(0, 256)
        try:
            assert decode(bytes(damaged), gray=False).dtype == np.uint8
        except UnreadableImageError as error:
            assert error.reason


def test_a_jpeg_of_endless_scans():
    content = encoded(PICTURE, "JPEG", progressive=True)
    assert decode(content, gray=True).shape == (60, 80)
    with pytest.raises(UnreadableImageError, match="more than 500 scans"):
        decode(content[:-2] + b"\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00" * 600 + content[-2:], gray=True)


def test_every_mode_becomes_rgb_of_eight_bits():
    transparent = PICTURE.convert("P")
    images = {
        "CMYK": encoded(PICTURE.convert("CMYK"), "JPEG"),
        "16 bits": encoded(Image.fromarray(np.full((60, 80), 40_000, np.uint16)), "PNG"),
        "palette with alpha": encoded(transparent, "PNG", transparency=3),
        "RGBA": encoded(PICTURE.convert("RGBA"), "PNG"),
        "grey with alpha": encoded(PICTURE.convert("LA"), "PNG"),
        "one bit": encoded(PICTURE.convert("1"), "PNG"),
        "animated": encoded(PICTURE, "GIF", save_all=True, append_images=[PICTURE.rotate(180)]),
    }
    for name, content in images.items():
        found = decode(content, gray=False)
        assert (found.shape, found.dtype) == ((60, 80, 3), np.uint8), name
        assert decode(content, gray=True).shape == (60, 80), name
    assert (decode(images["16 bits"], gray=True) == 156).all()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_exif_rotates_in_colour_and_in_grey(kind):
    exif = Image.Exif()
    exif[0x0112] = 6
    content = encoded(PICTURE, kind, exif=exif)
    assert decode(content, gray=False).shape == (80, 60, 3)
    assert decode(content, gray=True).shape == (80, 60)


def test_what_is_no_file(tmp_path):
    (tmp_path / "folder.png").mkdir()
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "loop.png").symlink_to("loop.png")
    (tmp_path / "zero.png").symlink_to("/dev/zero")
    (tmp_path / "gone.png").symlink_to("nowhere")
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "script.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n")
    (tmp_path / "._ok.png").write_bytes(b"\0\5\x16\7")
    (tmp_path / "ok.png").write_bytes(encoded(PICTURE, "PNG"))
    reasons = {
        "folder.png": "not a regular file",
        "pipe.png": "not a regular file",
        "loop.png": "cannot be read",
        "zero.png": "not a regular file",
        "gone.png": "there is no such file",
        "empty.png": "an empty file",
        "script.png": "none of PNG",
        "with\0nul.png": "cannot be read",
    }
    for name, reason in reasons.items():
        with pytest.raises(UnreadableImageError, match=reason):
            load_image(tmp_path / name)
    assert png_size(tmp_path / "pipe.png") == "not a regular file"
    assert png_size(tmp_path / "gone.png") == "no image file"
    assert [path.name for path in images_below(tmp_path)] == ["empty.png", "ok.png", "script.png"]


def test_files_beyond_the_limit_are_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(image_files, "MAX_BYTES", 1000)
    (tmp_path / "x.png").write_bytes(encoded(PICTURE, "PNG"))
    with pytest.raises(UnreadableImageError, match="a file of more than"):
        load_image(tmp_path / "x.png")


def test_crops_of_files_name_the_file(tmp_path):
    (tmp_path / "x.png").write_bytes(huge_png(40_000, 40_000))
    with pytest.raises(BadDataError, match=r"x\.png: an image of 40,000 x 40,000 px"):
        FileImages(tmp_path, ["x.png"], 48)[0]


def test_the_error_survives_a_worker_process():
    error = UnreadableImageError("damaged", Path("a.png"))
    again = pickle.loads(pickle.dumps(error))
    assert (again.reason, again.path, str(again)) == (error.reason, error.path, str(error))


def test_natural_order():
    names = [
        "frame10.png",
        "Frame2.png",
        "frame1.png",
        "a/2/x.png",
        "a/10/x.png",
        "frame01.png",
        "frame.png",
        "10.png",
        "9.png",
        "a",
        "٣.png",
    ]
    names.append(f"frame{'9' * 5000}.png")
    found = [str(path) for path in sorted(map(Path, names), key=in_natural_order)]
    assert found[:5] == ["9.png", "10.png", "a", "a/2/x.png", "a/10/x.png"]
    assert found[5:9] == ["frame01.png", "frame1.png", "Frame2.png", "frame10.png"]
    assert len(found[9]) > 5000
    assert found[10:] == ["frame.png", "٣.png"]
