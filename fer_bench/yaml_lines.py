"""Read a YAML file and remember on which line every key is, so that an error can name file, line and key."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from fer_bench.errors import SpecError

MAX_BYTES = 1_000_000
# Far more than settings need. A few lines of aliases of aliases stand for more values than memory holds.
MAX_DEPTH, MAX_VALUES = 30, 100_000
# libyaml is seven times as fast as the reader in Python, which stays the one that says what is wrong with a file.
FASTEST = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
# What is wrong with a file of brackets within brackets, of which the readers of YAML and JSON tell only that they gave
# up.
TOO_DEEP = "nested too deeply"
KeyPath = tuple[str | int, ...]


@dataclass(frozen=True)
class YamlFile:
    """The content of a YAML file with the line of every key.

    Args:
        path: the file.
        content: the top-level mapping, plain Python types.
        lines: line number (from 1) of every key and list entry, by its path from the top.
    """

    path: Path
    content: dict[str, Any]
    lines: dict[KeyPath, int]

    def where(self, key: KeyPath) -> str:
        """``file, line n`` of the nearest known ancestor of a key."""
        while key and key not in self.lines:
            key = key[:-1]
        return f"{self.path}, line {self.lines.get(key, 1)}"


def read_yaml(path: Path, hint: str = "Check the name.") -> YamlFile:
    """Read a YAML mapping; a file without any content is an empty one.

    Args:
        path: of the file.
        hint: where a right file comes from, for the error that it is not there or holds nothing like it.

    Raises:
        SpecError: the file is missing, too large, nested too deeply, not UTF-8, not YAML, not a mapping, or repeats a
            key.
    """
    text = _read_text(path, hint)
    try:
        loader, node = _parsed(text)
        if node is None:
            return YamlFile(path, {}, {})
        if not isinstance(node, yaml.MappingNode):
            kind = type(loader.construct_document(node)).__name__
            problem = f"{path}, line {node.start_mark.line + 1}: expected a mapping of settings, found a {kind}."
            raise SpecError(problem, hint)
        lines: dict[KeyPath, int] = {}
        _note_lines(path, node, (), lines)
        content = loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        why = error.problem or error.context or "syntax error"
        problem = f"{path}, line {mark.line + 1 if mark else 1}: not valid YAML ({why})."
        raise SpecError(problem, "Check indentation, colons and quotes on that line and the one above.") from None
    except RecursionError:
        raise _too_deep(path) from None
    except (yaml.YAMLError, ValueError) as error:
        problem = f"{path}: cannot be read as YAML ({(str(error) or type(error).__name__).splitlines()[0]})."
        raise SpecError(problem, "Save it as plain UTF-8 text.") from None
    return YamlFile(path, content, lines)


def _parsed(text: str) -> tuple[Any, yaml.Node | None]:
    """A loader, and the node of the document that it has read.

    libyaml overflows the stack on what is nested deeply, takes some texts that Python's reader refuses, and tells
    otherwise what is wrong with others: all of these are left to Python's.
    """
    if FASTEST is not yaml.SafeLoader and _is_alike(text):
        loader = FASTEST(text)
        try:
            return loader, loader.get_single_node()
        except yaml.YAMLError:
            pass
    plain = yaml.SafeLoader(text)
    return plain, plain.get_single_node()


def _is_alike(text: str) -> bool:
    """Nothing deep, no tab, tag or block of text, no question mark in a bare word: the readers differ there alone."""
    depth = 0
    try:
        for event in yaml.parse(text, Loader=FASTEST):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > MAX_DEPTH or getattr(event, "tag", None):
                return False
            if isinstance(event, yaml.ScalarEvent) and (
                event.style in ("|", ">") or (not event.style and "?" in event.value)
            ):
                return False
    except (yaml.YAMLError, ValueError):
        return False
    return "\t" not in text


def _read_text(path: Path, hint: str) -> str:
    try:
        if path.stat().st_size > MAX_BYTES:
            problem = f"{path}: larger than {MAX_BYTES:,} bytes."
            raise SpecError(problem, "Such a file holds settings and texts; name what is long in a file of its own.")
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        problem = f"there is no file {path}."
        raise SpecError(problem, hint) from None
    except OSError as error:
        problem = f"{path} cannot be read: {error.strerror}."
        raise SpecError(problem, hint) from None
    except UnicodeDecodeError as error:
        problem = f"{path} cannot be read: not UTF-8 text (byte {error.start})."
        raise SpecError(problem, "Save the file as UTF-8.") from None


def _too_deep(path: Path) -> SpecError:
    problem = f"{path}: cannot be read as YAML ({TOO_DEEP})."
    return SpecError(problem, f"It may have {MAX_DEPTH} levels.")


def _note_lines(path: Path, node: yaml.Node, at: KeyPath, lines: dict[KeyPath, int]) -> None:
    if len(at) > MAX_DEPTH:
        raise _too_deep(path)
    if len(lines) > MAX_VALUES:
        problem = f"{path}: more than {MAX_VALUES:,} values, aliases (*name) counted each time they are used."
        raise SpecError(problem, "Such a file holds settings and texts; name what is long in a file of its own.")
    if isinstance(node, yaml.MappingNode):
        for key_node, value_node in node.value:
            here = (*at, str(key_node.value))
            line = key_node.start_mark.line + 1
            if here in lines:
                problem = f"{path}, line {line}: key {key_node.value!r} is given twice (first on line {lines[here]})."
                raise SpecError(problem, "Keep one of them.")
            lines[here] = line
            _note_lines(path, value_node, here, lines)
    elif isinstance(node, yaml.SequenceNode):
        for index, entry in enumerate(node.value):
            lines[(*at, index)] = entry.start_mark.line + 1
            _note_lines(path, entry, (*at, index), lines)
