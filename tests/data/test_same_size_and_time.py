"""Other pixels under the same name, size and modification time are other data, whichever reader reads them."""

import os
import time
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest

from fer_bench.datasets.afew_va import read_afew_va
from fer_bench.datasets.affectnet.module import AffectNetDataModule
from fer_bench.datasets.folder import FolderDataModule
from fer_bench.datasets.semaine.module import read_semaine
from tests.datasets.fakes_va import write_afew_va, write_semaine
from tests.datasets.test_affectnet_module import write_lists
from tests.datasets.test_semaine import BrightestBlock
from tests.fakes import write_class_folders

Checksums = dict[str, str]


def replace_quietly(path: Path) -> None:
    """Change a file's content and nothing else that one sees of it."""
    stat, content = path.stat(), bytearray(path.read_bytes())
    if path.suffix == ".avi":
        content[len(content) // 2] ^= 1
    else:
        image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        image[: len(image) // 2] = 7
        changed = cv2.imencode(path.suffix, image)[1].tobytes()
        # PNG readers stop at its end: what is behind only makes up the size
        content = bytearray(changed[: len(content)].ljust(len(content), b"\0"))
    time.sleep(0.02)
    path.write_bytes(bytes(content))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (stat.st_size, stat.st_mtime_ns)


def afew_va(root: Path) -> tuple[Callable[[], Checksums], Path]:
    write_afew_va(root / "afew_va", clips=4, frames=2, nested=False)
    return lambda: read_afew_va(str(root)).checksums, root / "afew_va" / "001" / "00000.png"


def affectnet(root: Path) -> tuple[Callable[[], Checksums], Path]:
    write_lists(root / "affectnet")
    where = root / "affectnet" / "Manually_Annotated_Images" / "7"
    return (
        lambda: (
            AffectNetDataModule("fer8", data_dir=str(root), image_size=16, options={"validation": 0.2}).read().checksums
        ),
        where / "5.png",
    )


def folder(root: Path) -> tuple[Callable[[], Checksums], Path]:
    write_class_folders(root / "mine")
    picture = sorted((root / "mine").rglob("*.png"))[0]
    return lambda: FolderDataModule("fer7", name="mine", data_dir=str(root)).read().checksums, picture


def semaine(root: Path) -> tuple[Callable[[], Checksums], Path]:
    write_semaine(root / "semaine", sessions=2, seconds=1)

    @contextmanager
    def opened():
        yield BrightestBlock()

    video = sorted((root / "semaine").rglob("*.avi"))[0]
    return lambda: read_semaine(str(root), size=32, open_faces=opened, model=lambda: Path("model")).checksums, video


@pytest.mark.parametrize("dataset", [afew_va, affectnet, folder, semaine])
def test_other_content_is_another_copy(dataset: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FER_BENCH_CACHE", str(tmp_path / "cache"))
    read, picture = dataset(tmp_path / "data")
    before = read()
    assert read() == before
    # another place and other times are no other data
    (tmp_path / "data").rename(tmp_path / "moved")
    (tmp_path / "data").symlink_to(tmp_path / "moved")
    os.utime(picture)
    assert read() == before
    replace_quietly(picture)
    assert read() != before


def test_the_size_that_is_asked_for_is_no_other_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FER_BENCH_CACHE", str(tmp_path / "cache"))
    write_class_folders(tmp_path / "mine", colour=True, side=60)
    found = [
        FolderDataModule("fer7", name="mine", data_dir=str(tmp_path), image_size=side).read() for side in (48, 64, 96)
    ]
    assert found[0].checksums == found[1].checksums == found[2].checksums
    assert [np.asarray(samples.images[0]).shape for samples in found] == [(side, side, 3) for side in (48, 64, 96)]
