"""The outcome of pre-screening: the list of chosen images, fit for ``images.table`` of the annotation study."""

from __future__ import annotations

from pathlib import Path

from fer_bench.annotate.export import write_file
from fer_bench.annotate.store import AnswerStore
from fer_bench.escaping import csv_text


def chosen_images(store: AnswerStore) -> list[tuple[str, str]]:
    """(path, label) of all images marked as confusing, sorted by label and path."""
    rows = [(label, store.images[item_id].name) for item_id, label in store.marks().items() if item_id in store.images]
    return [(name, label) for label, name in sorted(rows)]


def write_chosen(store: AnswerStore, path: Path) -> dict[str, int]:
    """Write the chosen images as CSV with columns ``path,label``.

    Returns:
        How many were chosen per class, zero included.

    Raises:
        FerBenchError: the file cannot be written.
    """
    rows = chosen_images(store)
    write_file(path, csv_text(("path", "label"), *rows).encode())
    return {name: sum(label == name for _, label in rows) for name in store.study.label_names()}
