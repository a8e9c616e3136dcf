from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_bench.annotate.images import StudyImage
from fer_bench.annotate.order import rater_images, session_order
from fer_bench.annotate.study import Expected, Study, StudyFile

IMAGES = tuple(StudyImage(f"{index}.png", "", Path(f"{index}.png")) for index in range(60))


def study(main: int, catch: int, repeats: int, gap: int, per_rater: int | None = None, seed: int = 0) -> Study:
    content = {
        "name": "s",
        "version": "1",
        "title": "S",
        "consent": "c",
        "instructions": "i",
        "repeats": repeats,
        "repeat_gap": gap,
        "seed": seed,
    }
    file = StudyFile.model_validate({**content, "images": {"folder": "x", "per_rater": per_rater}})
    catches = tuple((image, Expected(category=("happy",))) for image in IMAGES[main : main + catch])
    return Study(Path("s.yaml"), file, IMAGES[:main], (IMAGES[-1],), catches)


@settings(max_examples=80, deadline=None)
@given(st.integers(2, 40), st.integers(0, 5), st.integers(1, 10), st.integers(0, 40), st.integers(0, 5))
def test_every_image_once_repeats_far_apart(main: int, catch: int, gap: int, repeats: int, seed: int) -> None:
    repeats = min(repeats, max(0, main - gap))
    order = session_order(study(main, catch, repeats, gap, seed=seed), "r001", 0)
    assert [shown.kind for shown in order].index("practice") == 0
    rest = order[1:]
    first = {shown.image.name: index for index, shown in enumerate(rest) if shown.presentation == 1}
    second = {shown.image.name: index for index, shown in enumerate(rest) if shown.presentation == 2}
    assert len(first) == main + catch
    assert len(second) == repeats
    assert len(rest) == main + catch + repeats
    assert all(index - first[name] > gap for name, index in second.items())
    assert all(rest[index].kind == "main" for index in second.values())


def test_orders_differ_between_raters_and_repeat_for_one() -> None:
    one = study(30, 3, 5, 8)
    assert session_order(one, "r001", 0) == session_order(one, "r001", 0)
    orders = [tuple(shown.image.name for shown in session_order(one, f"r{index}", index)) for index in range(20)]
    assert len(set(orders)) == 20
    assert orders[0] != tuple(
        shown.image.name for shown in session_order(replace(one, file=one.file.model_copy(update={"seed": 1})), "r0", 0)
    )


def test_positions_are_uniform() -> None:
    places = [
        [shown.image.name for shown in session_order(study(10, 0, 0, 1), f"r{index}", index)][1:].index("0.png")
        for index in range(2000)
    ]
    counts = Counter(places)
    # chi-square with 9 degrees of freedom: 27.9 is exceeded once in a thousand
    assert sum((counts[place] - 200) ** 2 / 200 for place in range(10)) < 27.9


@pytest.mark.parametrize(("share", "raters"), [(7, 30), (20, 9), (5, 4)])
def test_shares_spread_votes_evenly(share: int, raters: int) -> None:
    part = study(20, 0, 0, 1, per_rater=share)
    votes: Counter[str] = Counter({image.name: 0 for image in part.main})
    for index in range(raters):
        mine = [image.name for image in rater_images(part, index)]
        assert len(set(mine)) == share
        votes.update(mine)
        assert max(votes.values()) - min(votes.values()) <= 1
