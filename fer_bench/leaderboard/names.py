"""What a row is called on its board: model, recipe, and what sets it apart from rows of the same name; pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from fer_bench.leaderboard.rows import Row

# Differences that a name can carry; rows that differ in more are told apart by the beginning of their digest.
_MOST = 3
_NOT_SETTINGS = frozenset({"seed", "recipe", "execution"})
_DIGEST_SHOWN = 10


def row_names(rows: Sequence[Row]) -> dict[tuple[str, str], str]:
    """Names of rows by (model, key), unique on the board."""
    alike: dict[str, list[Row]] = {}
    for row in rows:
        alike.setdefault(_plain(row), []).append(row)
    names: dict[tuple[str, str], str] = {}
    for plain, members in alike.items():
        if len(members) == 1:
            names[members[0].model, members[0].key] = plain
            continue
        for row, differences in zip(members, _differences(members), strict=True):
            names[row.model, row.key] = f"{plain}: {differences}"
    return names


def _plain(row: Row) -> str:
    spec = row.records[0].spec
    views = f" + TTA {spec['tta']} {spec.get('tta_kind', '')}".rstrip() if spec.get("tta") else ""
    recipe = f" ({row.recipe})" if row.recipe else ""
    return row.model + recipe + views


def _differences(rows: Sequence[Row]) -> list[str]:
    settings = [_flat(row.records[0].spec) for row in rows]
    keys = sorted({key for flat in settings for key in flat} - _NOT_SETTINGS)
    differing = [key for key in keys if len({flat.get(key) for flat in settings}) > 1]
    if 0 < len(differing) <= _MOST:
        texts = [", ".join(f"{key} {flat.get(key, '–')}" for key in differing) for flat in settings]
        if len(set(texts)) == len(texts):
            return texts
    return [row.key[:_DIGEST_SHOWN] for row in rows]


def _flat(spec: dict[str, Any]) -> dict[str, str]:
    flat: dict[str, str] = {}
    for key, value in spec.items():
        if isinstance(value, dict) and key not in _NOT_SETTINGS:
            flat |= {f"{key}.{inner}": _text(content) for inner, content in value.items()}
        else:
            flat[key] = _text(value)
    return flat


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)
