"""Code from outside the package: networks, datasets, tasks, losses, augmentations and metrics that others bring, found
without being imported.

A plugin is named in one of three ways:

- by an entry point of an installed package, in the group ``fer_bench.models``, ``.datasets``, ``.tasks``, ``.losses``,
  ``.augmentations`` or ``.metrics``;
- as ``module:attribute``, where the module can be imported from the current folder or from what is installed;
- by a name that a module has given to :func:`register`; ``--import MODULE`` imports such a module.

The package's own names come first. What a plugin must be is in ``docs/plugins.md``, and is checked where it is built.
Only what needs the code imports it: its digest is that of its files (:mod:`fer_bench.plugin_files`), so records of
plugins are verified and ranked where the plugin is not.
"""

from __future__ import annotations

import contextlib
import difflib
import functools
import importlib
import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from fer_bench.errors import PluginError
from fer_bench.plugin_files import code_digest, code_files, is_installed, is_module, refuse_paths
from fer_bench.registry import unknown_name

# What a setting of a run names, by the setting; metrics no setting names: all that are installed or registered count.
KINDS = {
    "model": "models",
    "dataset": "datasets",
    "loss": "losses",
    "augment": "augmentations",
    "task": "tasks",
    "metric": "metrics",
}
# Beginnings of names that are no modules.
_RESERVED = {"model": ("timm",), "dataset": ("folder", "table")}
CODE = "code of "
_REGISTERED: dict[tuple[str, str], Plugin] = {}
# Modules that are being imported for the names that they register.
_REGISTERING: list[str] = []
# Modules that a user has named for the names that they register; other processes of a command import them too.
IMPORTED: list[str] = []
# Digest of what was loaded, by module: a file that was edited since is loaded anew.
_LOADED: dict[str, str] = {}


@dataclass(frozen=True)
class Plugin:
    """One thing from outside.

    Args:
        kind: the setting that names it: ``model``, ``dataset``, ``task``, ``loss`` or ``augment``; or ``metric``.
        name: as the settings have it.
        reference: ``module:attribute``.
        package: the distribution that provides it; empty where it is not installed.
        version: of that.
        by: the module that has registered it; empty for any other.
    """

    kind: str
    name: str
    reference: str
    package: str = ""
    version: str = ""
    by: str = field(default="", compare=False)

    @property
    def digest(self) -> str:
        """SHA-256 (hexadecimal) over the plugin's own files, see :func:`fer_bench.plugin_files.code_digest`.

        Raises:
            PluginError: there is no such module.
        """
        return code_digest(self.reference.partition(":")[0], self.described)

    @property
    def described(self) -> str:
        """Kind and name, for errors."""
        return f"{self.kind} {self.name!r}"

    def load(self) -> Any:
        """Import it.

        Raises:
            PluginError: the module cannot be imported, or has no such attribute.
        """
        module, _, attribute = self.reference.partition(":")
        if _LOADED.setdefault(module, self.digest) != self.digest:
            for name in code_files(module, self.described):
                sys.modules.pop(name, None)
            _LOADED[module] = self.digest
        found = import_module(module, self.described)
        for part in attribute.split("."):
            try:
                found = getattr(found, part)
            except AttributeError:
                problem = f"{self.described}: module {module} has no {attribute!r}."
                near = unknown_name("attribute", part, [name for name in dir(found) if not name.startswith("_")])
                raise PluginError(
                    problem, near.hint if near.hint.startswith("Did") else "Correct the name after the colon."
                ) from None
        return found

    def facts(self) -> dict[str, str]:
        """What a record says of it."""
        stated = {
            "name": self.name,
            "object": self.reference,
            "package": self.package,
            "version": self.version,
            "import": self.by,
        }
        return {key: value for key, value in stated.items() if value} | {"sha256": self.digest}


def find(kind: str, name: str) -> Plugin | None:
    """The plugin of a name that is none of the package's own; None where there is no such plugin. Imports nothing.

    Args:
        kind: the setting that names it.
        name: its value.

    Raises:
        PluginError: ``module:attribute`` is misspelt, or two packages provide the name.
    """
    if (kind, name) in _REGISTERED:
        return _REGISTERED[kind, name]
    if ":" in name:
        return _referred(kind, name)
    found = {point.value: point for point in _entry_points(kind) if point.name == name}
    if len(found) > 1:
        owners = sorted(point.dist.name if point.dist else value for value, point in found.items())
        problem = f"{kind} {name!r}: several packages provide this name ({', '.join(owners)})."
        raise PluginError(problem, f"Name the one that is meant as {next(iter(found))}, or uninstall the others.")
    return next((_from_entry_point(kind, point) for point in found.values()), None)


def _referred(kind: str, name: str) -> Plugin | None:
    module, _, attribute = name.partition(":")
    reserved = _RESERVED.get(kind, ())
    if module in reserved or (difflib.get_close_matches(module, reserved, cutoff=0.7) and not is_module(module)):
        return None
    if module.endswith(".py") or "/" in module or os.sep in module:
        wanted = module.removesuffix(".py").strip("./").replace(os.sep, ".").replace("/", ".")
        problem = f"{kind} {name!r}: expected a module, not a file."
        raise PluginError(problem, f"Write {wanted}:{attribute}, from the folder that it is in.")
    if not all(part.isidentifier() for text in (module, attribute) for part in text.split(".")):
        return None
    return Plugin(kind, name, name, *_installed(module))


def _from_entry_point(kind: str, point: metadata.EntryPoint) -> Plugin:
    package, version = (point.dist.name, point.dist.version) if point.dist else ("", "")
    return Plugin(kind, point.name, point.value.partition("[")[0].replace(" ", ""), package, version)


def _entry_points(kind: str) -> tuple[metadata.EntryPoint, ...]:
    return _installed_points(f"fer_bench.{KINDS[kind]}", tuple(sys.path))


@functools.cache
def _installed_points(group: str, places: tuple[str, ...]) -> tuple[metadata.EntryPoint, ...]:
    """Entry points of a group, as far as the places of modules are those; to ask takes a tenth of a second."""
    return tuple(metadata.entry_points(group=group))


def _installed(module: str) -> tuple[str, str]:
    """The distribution of a module, and its version; empty where it has none."""
    # To ask all distributions takes most of a second, and what is in a plain folder is of none.
    owners = metadata.packages_distributions().get(module.partition(".")[0], []) if is_installed(module) else []
    return (owners[0], metadata.version(owners[0])) if owners else ("", "")


def known(kind: str, own: Iterable[str]) -> list[str]:
    """All names of a kind that mean something here: the package's own, and those of plugins."""
    return [*own, *names(kind)]


def names(kind: str) -> dict[str, str]:
    """Plugins by name, with where each is from: of installed packages, and of modules that were imported for it."""
    found = {
        point.name: f"{point.value} ({point.dist.name} {point.dist.version})" if point.dist else point.value
        for point in _entry_points(kind)
    }
    return dict(
        sorted((found | {name: plugin.reference for (of, name), plugin in _REGISTERED.items() if of == kind}).items())
    )


def register(kind: str, name: str, reference: Any) -> None:
    """Register something from outside under a short name, as an entry point does.

    Args:
        kind: ``model``, ``dataset``, ``task``, ``loss``, ``augment`` or ``metric``.
        name: for the settings, and for records.
        reference: ``module:attribute``, or a class or function at the top of a module.

    Raises:
        PluginError: no such kind, or the thing cannot be imported by name; or the name is taken by something else.
    """
    if kind not in KINDS:
        unknown = unknown_name("kind of plugin", kind, KINDS)
        raise PluginError(unknown.problem, unknown.hint)
    text = reference_of(reference)
    made = Plugin(kind, name, text, *_installed(text.partition(":")[0]), next(reversed(_REGISTERING), ""))
    if _REGISTERED.setdefault((kind, name), made).reference != text:
        problem = f"{kind} {name!r} is {_REGISTERED[kind, name].reference} already; it cannot be {text} too."
        raise PluginError(problem, "Choose another name.")


def reference_of(thing: Any) -> str:
    """``module:attribute`` of a class or function, or a text as it is.

    Raises:
        PluginError: it has no name by which another process could import it.
    """
    if isinstance(thing, str):
        return thing
    module, name = getattr(thing, "__module__", None), getattr(thing, "__qualname__", None)
    if not module or not name or "<" in name or module == "__main__":
        where = " from a notebook or a script" if module == "__main__" else ""
        problem = f"{name or thing!r} cannot be imported by name{where}, so no record could say what it is."
        raise PluginError(
            problem, "Put it at the top level of a separate module, such as my_net.py, and import it from there."
        )
    return f"{module}:{name}"


def import_module(name: str, what: str = "") -> Any:
    """Import a module that a user names; the current folder counts.

    Args:
        name: dotted.
        what: it is imported for, for the error; empty: for the names that it registers.

    Raises:
        PluginError: there is none, or it raises.
    """
    said = what or f"--import {name}"
    refuse_paths(name, said)
    _find_from_here()
    try:
        with _registering(name if not what else None):
            found = importlib.import_module(name)
    except (Exception, SystemExit) as error:  # modules raise whatever they are made to
        if isinstance(error, ModuleNotFoundError) and error.name and f"{name}.".startswith(f"{error.name}."):
            problem = f"{said}: there is no module {error.name}."
            raise PluginError(
                problem, f"Modules are looked for in this folder ({Path.cwd()}) and among what is installed."
            ) from None
        where = f", line {error.lineno} of {error.filename}" if isinstance(error, SyntaxError) else ""
        detail = next(iter(str(error.msg if isinstance(error, SyntaxError) else error).splitlines()), "") or "no detail"
        problem = f"{said}: importing {name} raises {type(error).__name__} ({detail[:200].rstrip('.')}{where})."
        raise PluginError(problem, f"`python -c 'import {name}'` shows where.") from None
    if not what and name not in IMPORTED:
        IMPORTED.append(name)
    return found


@contextlib.contextmanager
def _registering(name: str | None) -> Iterator[None]:
    _REGISTERING.extend([name] if name else [])
    try:
        yield
    finally:
        del _REGISTERING[len(_REGISTERING) - bool(name) :]


def _find_from_here() -> None:
    """The current folder after everything else, so that no file there takes the place of a library."""
    if not {"", str(Path.cwd())} & set(sys.path):
        sys.path.append(str(Path.cwd()))
    importlib.invalidate_caches()
