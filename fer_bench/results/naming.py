"""What runs are called: model, recipe and views, and what distinguishes those that share all three; pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from fer_bench.spec import NO_SETTINGS

Key = TypeVar("Key")

# Differences that a name can carry; runs that differ in more are distinguished by the beginning of their digest.
_MOST = 3
_DIGEST_SHOWN = 10
_TEMPORAL = {"gru": " + GRU", "tcn": " + TCN", "transformer": " + transformer"}


@dataclass(frozen=True)
class Named:
    """What a name is made of, the seed left out.

    Args:
        model: its name.
        recipe: empty where it has none.
        spec: every setting.
        digest: of the settings.
    """

    model: str
    recipe: str
    spec: Mapping[str, Any]
    digest: str = ""

    @property
    def plain(self) -> str:
        """Model, the temporal model over it, recipe and views of test-time augmentation."""
        over = _TEMPORAL.get(str(self.spec.get("temporal", "none")), "")
        views = f" + TTA {self.spec['tta']} {self.spec.get('tta_kind', '')}".rstrip() if self.spec.get("tta") else ""
        return self.model + over + (f" ({self.recipe})" if self.recipe else "") + views


def unique_names(named: Mapping[Key, Named]) -> dict[Key, str]:
    """Names, no two of them equal: where the plain ones are, the settings that differ are added."""
    alike: dict[str, list[Key]] = {}
    for key, one in named.items():
        alike.setdefault(one.plain, []).append(key)
    names: dict[Key, str] = {}
    for plain, keys in alike.items():
        if len(keys) == 1:
            names[keys[0]] = plain
            continue
        for key, differences in zip(keys, _differences([named[key] for key in keys]), strict=True):
            names[key] = f"{plain}: {differences}"
    return names


def _differences(named: Sequence[Named]) -> list[str]:
    settings = [_flat(one.spec) for one in named]
    keys = sorted({key for flat in settings for key in flat} - NO_SETTINGS)
    differing = [key for key in keys if len({flat.get(key) for flat in settings}) > 1]
    if 0 < len(differing) <= _MOST:
        # Of options their own names say enough, unless two are called the same.
        last = [key.rpartition(".")[2] for key in differing]
        shown = last if len(set(last)) == len(last) else differing
        texts = [
            ", ".join(f"{name} {flat.get(key, '–')}" for name, key in zip(shown, differing, strict=True))
            for flat in settings
        ]
        if len(set(texts)) == len(texts):
            return texts
    return [one.digest[:_DIGEST_SHOWN] for one in named]


def _flat(spec: Mapping[str, Any]) -> dict[str, str]:
    flat: dict[str, str] = {}
    for key, value in spec.items():
        if isinstance(value, dict) and key not in NO_SETTINGS:
            flat |= {f"{key}.{inner}": _text(content) for inner, content in value.items()}
        else:
            flat[key] = _text(value)
    return flat


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)
