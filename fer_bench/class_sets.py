"""Classes that users name for their own data: from ``dataset_options.classes`` to a label set whose name holds a
digest of it.

The option is a list of classes, each in a folder of its name, or a mapping from folders to classes: several folders may
make one class, and a folder that is mapped to nothing (``null``) is left out. A table's labels take the place of
folders. However it is written, the option is settled as a mapping in one form, so that the same classes are the same
settings. Classes are in the order of their names, numbers by value: the order in which they were listed means nothing.
"""

from __future__ import annotations

import hashlib
import json
import re
import shlex
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, NoReturn

from fer_bench.counting import counted
from fer_bench.errors import SpecError
from fer_bench.labels import LABEL_SETS, LabelSet, plain, spellings

OPTION = "dataset_options.classes"
EXAMPLE = f"For example --set '{OPTION}=[bored, engaged]' or --set '{OPTION}={{1: surprise, 2: fear}}'."
LEFT_OUT = -1
NAMED = re.compile(r"classes\d+_[0-9a-f]{6}")
# Whose names mean the same wherever they are met; three levels called low, medium and high can be levels of anything.
_UNMISTAKABLE = ("fer7", "fer8", "emo8", "emo24")
_MOST, _LONGEST = 1000, 60
_INSIDE = frozenset(" _-.+'&()")
_SIMPLE = re.compile(r"[^\W_](?:[\w .+()-]*[\w)])?")

Folders = dict[str, str | None]


def read_classes(value: Any) -> Folders:
    """The option as users write it, checked and in its one form.

    Args:
        value: a list of classes, or a mapping from folders to classes; None leaves a folder out.

    Returns:
        Folder to class, or to None, sorted by folder; all of them as :func:`fer_bench.labels.plain` writes them.

    Raises:
        SpecError: no list or mapping, fewer than two classes, a folder or a class named twice, a name that cannot be
            published.
    """
    if isinstance(value, Mapping):
        pairs = [(_folder(key), None if name is None else _class(name)) for key, name in value.items()]
    elif isinstance(value, list | tuple):
        pairs = [(_class(name), _class(name)) for name in value]
    else:
        _refuse(f"{_short(value)} is neither a list of classes nor a mapping from folders to classes")
    twice = [folder for folder, n in Counter(folder for folder, _ in pairs).items() if n > 1]
    if twice:
        _refuse(f"{twice[0]!r} is named twice (case and blanks around a name do not count)")
    names = {name for _, name in pairs if name is not None}
    if not 2 <= len(names) <= _MOST:
        _refuse(
            f"{counted(len(names), 'class', 'classes')} ({', '.join(sorted(names)) or 'none'}); two or more are needed"
        )
    return dict(sorted(pairs))


def label_set_of(folders: Mapping[str, str | None], task: str | None = None) -> LabelSet:
    """The label set that the option means: a built-in one where it has the same classes, else a new one.

    Args:
        folders: as :func:`read_classes` returns them.
        task: the name of a task that the user asks for; a built-in set of the same classes is then taken whatever they
            are called.

    Returns:
        A built-in set where each folder is one class and all are there, whatever their order and spelling; else a set
        called ``classes<n>_<digest>``, whose digest stands for the names of its classes and for what was merged or left
        out.
    """
    names = sorted({name for name in folders.values() if name is not None}, key=_by_number)
    merged = {} if len(names) == len(folders) else dict(folders)
    if not merged:
        for known in dict.fromkeys((*_UNMISTAKABLE, *([task] if task and task in LABEL_SETS else []))):
            if same_classes(LABEL_SETS[known], names):
                return LABEL_SETS[known]
    return stated_set(names, merged)


def stated_set(names: Iterable[str], merged: Mapping[str, str | None]) -> LabelSet:
    """A custom set from what a record states of it.

    Args:
        names: of the classes, in their order.
        merged: folder to class where some class has several folders or some folder is left out, else empty.
    """
    listed = list(names)
    text = json.dumps([listed, dict(merged)], sort_keys=True, separators=(",", ":"))
    return LabelSet(
        f"classes{len(listed)}_{hashlib.sha256(text.encode()).hexdigest()[:6]}",
        tuple(listed),
        spellings(listed),
        merged=dict(merged),
    )


def same_classes(known: LabelSet, names: Iterable[str]) -> bool:
    """Whether names are those of a label set, in any order and spelling."""
    found = [known.find(name) for name in names]
    return None not in found and sorted(i for i in found if i is not None) == list(range(len(known)))


class Classes:
    """Which class a folder, or a label of a table, is.

    Args:
        labels: the classes.
        folders: the option; None where folders are called like the classes.
    """

    def __init__(self, labels: LabelSet, folders: Mapping[str, str | None] | None = None) -> None:
        self.labels = labels
        self.folders = dict(folders or {})
        self._keys = LabelSet("folders", tuple(self.folders), spellings(self.folders))
        numbers = Counter(_number(key) for key in self.folders)
        self._numbers = {_number(key): key for key in self.folders if numbers[_number(key)] == 1}

    def key(self, text: str) -> str | None:
        """The entry of the option that a folder's name stands for (``01`` and ``1.0`` mean ``1``); None for a name that
        it does not hold.
        """
        if not self.folders:
            found = self.labels.find(text)
            return None if found is None else self.labels.names[found]
        at, number = self._keys.find(text), _number(plain(text))
        if at is not None:
            return self._keys.names[at]
        return None if number is None else self._numbers.get(number)

    def find(self, text: str) -> int | None:
        """Class id, ``LEFT_OUT``, or None for a name that is no class."""
        key = self.key(text)
        if key is None:
            return None
        name = self.folders.get(key, key)
        return LEFT_OUT if name is None else self.labels.index(name)


def suggestion(found: Iterable[str], folders: Mapping[str, str | None] | None = None) -> str:
    """The setting that makes classes of the folders, or labels, that were found, ready for a shell.

    Args:
        found: their names as they are.
        folders: the option as it was given; what it says of a folder stays.
    """
    names = list(dict.fromkeys(plain(name) for name in found))
    made: list[str | None] = []
    for name in names:
        given = (folders or {}).get(name, name)
        new = given if given is None or fault(given) is None else cleaned(given)
        made.append(f"{new} {len(made) + 1}" if new in made and name not in (folders or {}) else new)
    if made == names:
        text = f"[{', '.join(_yaml(name) for name in names)}]"
    else:
        text = (
            "{"
            + ", ".join(
                f"{_yaml(name)}: {'null' if new is None else _yaml(new)}" for name, new in zip(names, made, strict=True)
            )
            + "}"
        )
    return f"--set {shlex.quote(f'{OPTION}={text}')}"


def fault(name: str) -> str | None:
    """What is wrong with the name of a class, which is published in records and boards; None for a good one."""
    if not name:
        return "is empty"
    if len(name) > _LONGEST:
        return f"has {len(name)} characters, more than {_LONGEST}"
    kinds = [unicodedata.category(c)[0] for c in name]
    wrong = next((c for c, kind in zip(name, kinds, strict=True) if kind not in "LNM" and c not in _INSIDE), None)
    if wrong is not None:
        return f"holds {wrong!r}; letters, digits, blanks and _-.+'&() can be used"
    if kinds[0] not in "LN" or not (kinds[-1] in "LNM" or name[-1] in "+)") or name.startswith("www."):
        return "must begin and end with a letter or a digit"
    return None


def cleaned(name: str) -> str:
    """A name made fit for a class: without what :func:`fault` would find in it."""
    kept = "".join(c if unicodedata.category(c)[0] in "LNM" or c in _INSIDE else " " for c in name)
    kept = " ".join(kept.strip(" _-.+'&()").split())[:_LONGEST].strip(" _-.'&(")
    return kept if kept and fault(kept) is None else "unnamed"


def _class(value: Any) -> str:
    name = _text(value)
    if isinstance(value, Mapping | list | tuple):
        _refuse(f"{_short(value)} is not the name of a class")
    if found := fault(name):
        _refuse(f"the class {_short(name)} {found}")
    return name


def _folder(value: Any) -> str:
    name = _text(value)
    if not name or any(unicodedata.category(c)[0] == "C" for c in name) or len(name) > 255:
        _refuse(f"{_short(name)} is neither the name of a folder nor a label")
    return name


def _text(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        _refuse(
            f"YAML reads yes, no, on, off and nothing as {_short(value)}, which is not a name: put quotes around it"
        )
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    # A line break or a tab is a blank to `plain`: it must not pass for one in a name.
    if isinstance(value, str) and any(unicodedata.category(c) == "Cc" for c in value):
        _refuse(f"{_short(value)} holds a control character")
    return plain(str(value))


def _refuse(what: str) -> NoReturn:
    problem = f"{OPTION}: {what}."
    raise SpecError(problem, EXAMPLE)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _yaml(text: str) -> str:
    return text if _SIMPLE.fullmatch(text) and text not in ("null", "~") else json.dumps(text, ensure_ascii=False)


def _number(text: str) -> int | None:
    """The integer that a name is, as pandas and Excel also write it (``1.0``)."""
    digits = text.removesuffix(".0")
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) <= 9 else None


def _by_number(name: str) -> tuple[Any, ...]:
    return tuple(
        (0, int(part), "") if part.isascii() and part.isdigit() else (1, 0, part)
        for part in re.split(r"([0-9]+)", name)
        if part
    )
