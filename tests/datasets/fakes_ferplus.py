"""FER+ in the layout that its authors' script writes: real lines of its label files, and images that are made up."""

from __future__ import annotations

from pathlib import Path

import cv2

from fer_bench.datasets.ferplus.generated import FOLDERS
from tests.fakes import smooth_images

# The first lines of the authors' files, and of each file one that is no face and one of contempt.
REAL = {
    "train": """\
fer0000000.png,"(0, 0, 48, 48)",4,0,0,1,3,2,0,0,0,0
fer0000001.png,"(0, 0, 48, 48)",6,0,1,1,0,0,0,0,2,0
fer0000002.png,"(0, 0, 48, 48)",5,0,0,3,1,0,0,0,1,0
fer0000003.png,"(0, 0, 48, 48)",4,0,0,4,1,0,0,0,1,0
fer0000004.png,"(0, 0, 48, 48)",9,0,0,1,0,0,0,0,0,0
fer0000005.png,"(0, 0, 48, 48)",6,0,0,1,0,0,1,1,1,0
fer0000006.png,"(0, 0, 48, 48)",2,0,0,8,0,0,0,0,0,0
fer0000007.png,"(0, 0, 48, 48)",0,10,0,0,0,0,0,0,0,0
fer0010628.png,"(0, 0, 48, 48)",0,0,0,0,0,0,0,0,0,10
fer0000571.png,"(0, 0, 48, 48)",1,0,0,0,0,0,0,8,1,0
""",
    "validation": """\
fer0028638.png,"(0, 0, 48, 48)",4,0,0,0,1,0,0,4,1,0
fer0028639.png,"(0, 0, 48, 48)",1,0,0,1,0,2,0,6,0,0
fer0028640.png,"(0, 0, 48, 48)",7,0,0,0,2,0,0,1,0,0
fer0028641.png,"(0, 0, 48, 48)",5,5,0,0,0,0,0,0,0,0
fer0028642.png,"(0, 0, 48, 48)",0,10,0,0,0,0,0,0,0,0
fer0028643.png,"(0, 0, 48, 48)",0,10,0,0,0,0,0,0,0,0
fer0028644.png,"(0, 0, 48, 48)",0,1,0,6,0,0,3,0,0,0
fer0028645.png,"(0, 0, 48, 48)",10,0,0,0,0,0,0,0,0,0
fer0028882.png,"(0, 0, 48, 48)",0,0,0,0,0,2,0,7,1,0
""",
    "test": """\
fer0032220.png,"(0, 0, 48, 48)",0,0,0,0,2,1,0,7,0,0
fer0032222.png,"(0, 0, 48, 48)",3,0,0,5,0,0,0,0,2,0
fer0032223.png,"(0, 0, 48, 48)",6,0,1,2,0,0,0,0,1,0
fer0032224.png,"(0, 0, 48, 48)",0,0,4,0,1,2,3,0,0,0
fer0032225.png,"(0, 0, 48, 48)",0,0,0,0,9,0,1,0,0,0
fer0032226.png,"(0, 0, 48, 48)",6,0,0,4,0,0,0,0,0,0
fer0032227.png,"(0, 0, 48, 48)",0,10,0,0,0,0,0,0,0,0
fer0032228.png,"(0, 0, 48, 48)",0,0,0,0,8,0,1,0,1,0
fer0032659.png,"(0, 0, 48, 48)",1,0,0,0,0,1,0,7,1,0
""",
}


def write_generated(root: Path, lines=None, images=True):
    """The layout as the script writes it."""
    for split, text in {**REAL, **(lines or {})}.items():
        folder = root / FOLDERS[split]
        folder.mkdir(parents=True)
        (folder / "label.csv").write_text(text)
        names = [line.split(",")[0] for line in text.splitlines() if line.strip(", ")]
        for name, image in zip(names, smooth_images(len(names), seed=len(split)), strict=True):
            if images:
                assert cv2.imwrite(str(folder / name), image)
    return root
