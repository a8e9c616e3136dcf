"""Code from outside the package, for tests: copied to where it can be changed, and forgotten afterwards."""

from __future__ import annotations

import contextlib
import shutil
import sys
from pathlib import Path

from fer_bench import plugins

PACKAGE = Path(__file__).parent / "plugin_package"


@contextlib.contextmanager
def forgotten():
    """Whatever is imported from outside meanwhile is not there afterwards."""
    modules, path = set(sys.modules), list(sys.path)
    registered, loaded = dict(plugins._REGISTERED), dict(plugins._LOADED)
    try:
        yield
    finally:
        for name in set(sys.modules) - modules:
            if not name.startswith(("fer_bench", "torch", "numpy", "lightning", "timm", "cv2", "albumentations")):
                source = getattr(sys.modules[name], "__file__", None) or ""
                if "site-packages" not in source and "/lib/python" not in source:
                    del sys.modules[name]
        sys.path[:] = path
        for kept, before in ((plugins._REGISTERED, registered), (plugins._LOADED, loaded)):
            kept.clear()
            kept.update(before)


def copy_package(folder: Path) -> Path:
    """The package's modules in a plain folder, not installed."""
    shutil.copytree(PACKAGE / "fer_plugin", folder / "fer_plugin")
    return folder / "fer_plugin"
