"""The scripts of ``benchmarks/perf`` are no package: they are loaded from their files."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture
def script() -> Callable[[str], ModuleType]:
    """A script of ``benchmarks/perf``, by its name."""

    def load(name: str) -> ModuleType:
        spec = importlib.util.spec_from_file_location(
            f"perf_{name}", Path(__file__).parents[2] / "benchmarks" / "perf" / f"{name}.py"
        )
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[f"perf_{name}"] = module
        spec.loader.exec_module(module)
        return module

    return load
