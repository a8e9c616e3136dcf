"""Read a YAML file and remember on which line every key is, so that an error can name file, line and key."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from fer_bench.errors import SpecError

MAX_BYTES = 1_000_000
# Far more than a study needs. A few lines of aliases of aliases stand for more values than memory holds.
MAX_DEPTH, MAX_VALUES = 30, 100_000
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


def read_yaml(path: Path) -> YamlFile:
    """Read a YAML mapping.

    Raises:
        SpecError: the file is missing, too large, nested too deeply, not UTF-8, not YAML, not a mapping, or repeats a
            key.
    """
    text = _read_text(path)
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        if not isinstance(node, yaml.MappingNode):
            problem = f"{path}, line 1: expected keys and values, found none."
            raise SpecError(problem, "`fer-bench annotate init` writes an example to start from.")
        lines: dict[KeyPath, int] = {}
        _note_lines(path, node, (), lines)
        content = loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = f"{path}, line {mark.line + 1 if mark else 1}: not YAML: {error.problem or error.context}."
        raise SpecError(problem, "Check indentation, colons and quotes on that line and the one above.") from None
    except RecursionError:
        raise _too_deep(path) from None
    except (yaml.YAMLError, ValueError) as error:
        problem = (
            f"{path}: cannot be read as YAML: {str(error).splitlines()[0] if str(error) else type(error).__name__}."
        )
        raise SpecError(problem, "Save it as plain UTF-8 text.") from None
    return YamlFile(path, content, lines)


def _read_text(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_BYTES:
            problem = f"{path}: larger than {MAX_BYTES:,} bytes."
            raise SpecError(
                problem, "A study file holds settings and texts; list many images in a CSV named by images.table."
            )
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        problem = f"{path}: cannot be opened: {error.strerror}."
        raise SpecError(problem, "`fer-bench annotate init` writes an example study file.") from None
    except UnicodeDecodeError as error:
        problem = f"{path}: not UTF-8 text (byte {error.start})."
        raise SpecError(problem, "Save the file as UTF-8.") from None


def _too_deep(path: Path) -> SpecError:
    problem = f"{path}: nested more than {MAX_DEPTH} levels deep."
    return SpecError(problem, "`fer-bench annotate init` writes an example with every key.")


def _note_lines(path: Path, node: yaml.Node, at: KeyPath, lines: dict[KeyPath, int]) -> None:
    if len(at) > MAX_DEPTH:
        raise _too_deep(path)
    if len(lines) > MAX_VALUES:
        problem = f"{path}: more than {MAX_VALUES:,} values, aliases (*name) counted each time they are used."
        raise SpecError(
            problem, "A study file holds settings and texts; list many images in a CSV named by images.table."
        )
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
