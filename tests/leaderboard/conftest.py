"""The records of these tests are few, and verified again and again: what is drawn for them is drawn once."""

from __future__ import annotations

import numpy as np
import pytest

from fer_bench.scoring import score

DRAWN = {}


@pytest.fixture(scope="module", autouse=True)
def intervals_are_drawn_once():
    draw = score.bootstrap_confusion

    def bootstrap_confusion(confusion, names):
        counts = np.asarray(confusion)
        key = counts.shape, counts.tobytes(), tuple(names)
        if key not in DRAWN:
            DRAWN[key] = draw(confusion, names)
        return DRAWN[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(score, "bootstrap_confusion", bootstrap_confusion)
        yield
