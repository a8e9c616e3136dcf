"""What several functions of the API take, and what it stands for."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from fer_bench import plugins
from fer_bench.labels import LabelSet
from fer_bench.protocols import own_task, own_values
from fer_bench.results.places import folder_name
from fer_bench.results.record import Record
from fer_bench.results.store import Store
from fer_bench.value_sets import ValueSet

# None: the project's own.
StoreLike = Store | str | os.PathLike[str] | None
# A file of predictions, or its columns: a mapping, or a pandas.DataFrame.
Answered = str | os.PathLike[str] | Mapping[str, Any] | Any
# Where a wrong setting was given, for its error.
WHERE = "the arguments"


def name_of(thing: Any) -> Any:
    """A plugin's class or function by its reference, classes and values by the name of their task; anything else as it
    is.
    """
    if isinstance(thing, ValueSet):
        return own_values(thing).name
    if isinstance(thing, LabelSet):
        return own_task(thing).name
    return plugins.reference_of(thing) if callable(thing) else thing


def run_reference(run: str | Record) -> str:
    """A run as the store finds it: a record by protocol, model and run id; text as it is."""
    return f"{run.protocol}/{folder_name(run.model)}/{run.run_id}" if isinstance(run, Record) else str(run)
