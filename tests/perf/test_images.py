"""The measurement of images: it runs on a few small files, and says what it measured."""

from __future__ import annotations

import re

import cv2
import numpy as np
import pytest


def test_every_way_is_measured_on_small_files(script, capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("FER_BENCH_CACHE", "set back afterwards")
    images = script("images")
    for name, value in {"SIZES": (64,), "SIDE": 32, "BATCH": 4, "WARM_UP": 1}.items():
        monkeypatch.setattr(images, name, value)
    photographs = tmp_path / "photographs"
    photographs.mkdir()
    rng = np.random.default_rng(0)
    for i in range(2):
        image = cv2.resize(rng.integers(0, 256, (9, 9, 3), dtype=np.uint8), (100, 90), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(photographs / f"{i}.jpg"), image)
    arguments = ["--photographs", str(photographs), "--images", "20", "--workers", "0", "--work", str(tmp_path)]
    images.main([*arguments, "--parts", "2"])
    said = capsys.readouterr().out
    assert "20 JPEGs of 64 x 64 px" in said
    for name in ("torchvision", "stream", "stream, full", "packed"):
        assert re.search(rf"  {name} +\d+ images/s +[\d.]+x", said)
    assert len({file.read_bytes() for file in (tmp_path / "crops64-20" / "train").rglob("*.jpg")}) == 20
    with pytest.raises(SystemExit, match="too few"):
        images.main([*arguments, "--parts", "9"])
