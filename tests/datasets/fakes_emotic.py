"""A small EMOTIC in the CSVs that public programs write of it."""

from __future__ import annotations

import cv2
import numpy as np

from fer_bench.protocols.tasks import EMOTIC26

# The header that the program writes from which most CSVs of EMOTIC are.
HEADER = "Index,Folder,Filename,Image Size,BBox,Categorical_Labels,Continuous_Labels,Gender,Age"


def write_copy(root):
    generator = np.random.default_rng(0)
    for split, n in (("train", 32), ("val", 10), ("test", 14)):
        lines = [HEADER]
        for i in range(n):
            kinds = generator.choice(26, size=3, replace=False)
            names = [EMOTIC26[k].capitalize() for k in kinds]
            lines.append(f'{i},{split},{i // 2}.png,"[60, 40]","[2, 2, 50, 38]","{names}","[5, 6.5, 3]",Male,Adult')
            picture = generator.integers(0, 255, (40, 60, 3)).astype(np.uint8)
            path = root / "emotic" / split / f"{i // 2}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), picture)
        (root / "emotic_pre").mkdir(exist_ok=True)
        (root / "emotic_pre" / f"{split}.csv").write_text("\n".join(lines).replace("/c", "/C") + "\n")
