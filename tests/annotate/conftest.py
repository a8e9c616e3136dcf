from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from fer_bench.annotate.store import AnswerStore
from fer_bench.annotate.study import load_study

from .fakes import write_study


@pytest.fixture
def store(tmp_path: Path) -> Iterator[AnswerStore]:
    opened = AnswerStore(load_study(write_study(tmp_path)), tmp_path / "answers.sqlite3")
    yield opened
    opened.close()
