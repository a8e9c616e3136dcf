"""The files of code from outside, and one digest over them; nothing is imported for it.

Of a module in a package, those files of the package count that it imports, directly or by others, wherever in a file
the import stands, with the ``__init__.py`` above them; of a module in a plain folder, also what it imports from next to
it. Libraries do not count: their versions are stated elsewhere.
"""

from __future__ import annotations

import ast
import hashlib
import importlib
import sys
from collections.abc import Iterator
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path

from fer_bench.errors import PluginError


def code_digest(module: str, what: str) -> str:
    """SHA-256 (hexadecimal) over the names and the content of a module's files.

    Args:
        module: dotted.
        what: it is for, for the error.

    Raises:
        PluginError: there is no such module, or a file of it cannot be read.
    """
    total = hashlib.sha256()
    for name, path in sorted(code_files(module, what).items()):
        try:
            content = path.read_bytes()
        except OSError as error:
            problem = f"{what}: {path} cannot be read ({error.strerror})."
            raise PluginError(problem, "Check its permissions.") from None
        total.update(f"{name}\0{len(content)}\0".encode() + content)
    return total.hexdigest()


def code_files(module: str, what: str = "") -> dict[str, Path]:
    """Files of a module by dotted name: its own, and those that it imports from the same package or plain folder.

    Raises:
        PluginError: there is no such module.
    """
    refuse_paths(module, what)
    importlib.invalidate_caches()
    top = module.partition(".")[0]
    first = _find(top, None)
    if first is None or _locate(module) is None:
        problem = f"{what}: there is no module {module if first else top}."
        raise PluginError(problem, f"Modules are looked for in this folder ({Path.cwd()}) and among what is installed.")
    root = _root(first)
    found: dict[str, Path] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        for part in _with_parents(name):
            if part in found or not (part.partition(".")[0] == top or _is_beside(part, root)):
                continue
            spec = _locate(part)
            path = Path(spec.origin) if spec is not None and spec.has_location and spec.origin else None
            if path is not None:
                found[part] = path
                waiting += _imported(part, path)
    return found


def refuse_paths(name: str, what: str) -> None:
    """Refuse the path of a file where the name of a module is asked for.

    Raises:
        PluginError: it is one; the hint has the module's name.
    """
    if name.endswith(".py") or "/" in name or "\\" in name:
        dotted = name.removesuffix(".py").replace("\\", "/").removeprefix("./").strip("/").replace("/", ".")
        problem = f"{what}: {name} is the path of a file, not the name of a module."
        raise PluginError(problem, f"Write {dotted}, as Python's import does.")


def is_installed(module: str) -> bool:
    """Whether a module is among installed libraries, and not in a plain folder."""
    first = _find(module.partition(".")[0], None)
    return first is not None and _root(first) is None


def is_module(name: str) -> bool:
    """Whether a module could be imported; it is not."""
    return _locate(name) is not None


def _with_parents(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[:n]) for n in range(1, len(parts) + 1)]


def _find(name: str, where: list[str] | None) -> ModuleSpec | None:
    try:
        # The current folder after everything else, as where a plugin is imported.
        return PathFinder.find_spec(name, [*sys.path, str(Path.cwd())] if where is None else where)
    except (ImportError, ValueError):
        return None


def _locate(name: str) -> ModuleSpec | None:
    """Where a module is, without running its package."""
    spec, where = None, None
    for part in _with_parents(name):
        spec = _find(part, where)
        if spec is None:
            return None
        where = list(spec.submodule_search_locations or ())
    return spec


def _root(spec: ModuleSpec) -> Path | None:
    """The plain folder that a module is in; None where it is installed among libraries."""
    places = [Path(place) for place in spec.submodule_search_locations or ()] or (
        [Path(spec.origin)] if spec.origin else []
    )
    root = places[0].parent if places else None
    return None if root is None or next(root.glob("*.dist-info"), None) else root


def _is_beside(name: str, root: Path | None) -> bool:
    top = name.partition(".")[0]
    return (
        root is not None
        and top != "fer_bench"
        and ((root / f"{top}.py").is_file() or (root / top / "__init__.py").is_file())
    )


def _imported(module: str, path: Path) -> Iterator[str]:
    """Names of what a file imports, some of which may be no modules."""
    if path.suffix != ".py":
        return
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError, RecursionError, OSError):
        # Whoever imports it says what is wrong with it.
        return
    package = module.split(".") if path.name == "__init__.py" else module.split(".")[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            if base:
                yield base
                yield from (f"{base}.{alias.name}" for alias in node.names if alias.name != "*")
