"""Code from outside the package, for tests: copied to where it can be changed, and forgotten afterwards."""

from __future__ import annotations

import contextlib
import shutil
import sys
from pathlib import Path

from fer_bench import metric_plugins, plugins

PACKAGE = Path(__file__).parent / "plugin_package"


@contextlib.contextmanager
def forgotten():
    """Whatever is imported from outside meanwhile is not there afterwards."""
    modules, path = set(sys.modules), list(sys.path)
    tables = (plugins._REGISTERED, plugins._LOADED, metric_plugins._BROUGHT, metric_plugins._STATED)
    before = [dict(table) for table in tables]
    imported = list(plugins.IMPORTED)
    try:
        yield
    finally:
        for name in set(sys.modules) - modules:
            if not name.startswith(("fer_bench", "torch", "numpy", "lightning", "timm", "cv2", "albumentations")):
                # A namespace package has folders, and no file.
                found = sys.modules[name]
                source = getattr(found, "__file__", None) or next(iter(getattr(found, "__path__", ())), "")
                if "site-packages" not in source and "/lib/python" not in source:
                    del sys.modules[name]
        sys.path[:] = path
        plugins.IMPORTED[:] = imported
        metric_plugins.function.cache_clear()
        for table, content in zip(tables, before, strict=True):
            table.clear()
            table.update(content)


def copy_package(folder: Path) -> Path:
    """The package's modules in a plain folder, not installed."""
    shutil.copytree(PACKAGE / "fer_plugin", folder / "fer_plugin")
    return folder / "fer_plugin"
