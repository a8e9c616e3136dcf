"""What a metric is: an entry of the table of metrics (:mod:`fer_bench.metrics`), and how a function of a plugin becomes
one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar

from fer_bench.errors import PluginError
from fer_bench.registry import Registry, unknown_name

# What a function is called with: a Confusion of fer_bench.scoring.classification; Probabilities of
# fer_bench.scoring.probabilities; Categories of fer_bench.scoring.multilabel; targets and outputs of one dimension,
# shape (N,); the same less the middle of the scale, NaN without an answer; nothing, for what a training logs.
Takes = Literal["confusion", "probabilities", "labels", "values", "signs", "training"]
# Names in a record's metrics that are no metrics.
OF_CLASSES = ("precision", "recall", "f1", "support", "average_precision", "n_clipped", "per_class", "confusion")
OF_ALL = ("n", "n_unanswered", "n_groups", "mean", "intervals", "reasons", "clean", "folds", "averaged", "std")
RESERVED = frozenset({*OF_CLASSES, *OF_ALL})
Function = TypeVar("Function", bound=Callable[..., Any])
# What plugins may take; what a training logs is the package's own.
_TAKEN = ("confusion", "probabilities", "labels", "values", "signs")
_UNITS = ("%", "dataset", "")
NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
MARK = "fer_bench_metric"


@dataclass(frozen=True)
class Metric:
    """One number that says how good predictions are.

    Args:
        name: in records, protocols and settings.
        title: as readers know it.
        takes: what its function is called with.
        compute: ``module:function``; NaN where it is undefined.
        unit: ``%``: a share, shown in per cent; ``dataset``: the units of the dataset's values; empty: a plain number.
        decimals: that are shown.
        lower_is_better: its direction.
        scaled: whether it is multiplied so that the scale of the dataset becomes -1 to 1.
        test: how two rows are tested by it: ``outcomes``, which samples each answered rightly; ``resampling``, a paired
            bootstrap; empty: not.
        of_sums: of values that are resampled, ``module:function`` of a Sums of :mod:`fer_bench.scoring.moments`.
        undefined: why it may have no value although there are samples.
        inline: its title within a sentence; empty: the title, its first word in lower case unless it is an
            abbreviation.
        since: number of the revision of this table that first had it: records of that one or later must hold it. A new
            metric takes the highest number plus one, unless that has not been released. None: it is of a plugin, and no
            record must.
    """

    name: str
    title: str
    takes: Takes
    compute: str = ""
    unit: Literal["%", "dataset", ""] = ""
    decimals: int = 3
    lower_is_better: bool = False
    scaled: bool = False
    test: Literal["outcomes", "resampling", ""] = ""
    of_sums: str = ""
    undefined: str = ""
    inline: str = ""
    since: int | None = 1

    @property
    def is_share(self) -> bool:
        """Whether it is shown in per cent."""
        return self.unit == "%"

    @property
    def in_words(self) -> str:
        """Its title within a sentence."""
        return self.inline or (self.title if self.title[:2].isupper() else self.title[0].lower() + self.title[1:])

    def text(self, value: float, decimals: int | None = None) -> str:
        """A score as it is shown, without its unit."""
        # z: without the sign that a zero may have.
        return f"{100 * value if self.is_share else value:z.{self.decimals if decimals is None else decimals}f}"


# Filled by fer_bench.metrics.
METRICS: Registry[Metric] = Registry("metric")


def metric(
    title: str,
    takes: str,
    *,
    unit: str = "",
    decimals: int = 3,
    lower_is_better: bool = False,
    scaled: bool = False,
    undefined: str = "",
    inline: str = "",
) -> Callable[[Function], Function]:
    """Make a metric of a function, for an entry point of the group ``fer_bench.metrics`` or
    ``fer_bench.register("metric", name, function)``.

    Args:
        title: as readers know it.
        takes: what the function is called with. ``confusion``: a :class:`fer_bench.scoring.classification.Confusion`,
            of any number of matrices at once; ``probabilities``: a
            :class:`fer_bench.scoring.probabilities.Probabilities`; ``labels``: a
            :class:`fer_bench.scoring.multilabel.Categories`; ``values``: targets and outputs of one dimension,
            each of shape (N,), in the dataset's units; ``signs``: the same less the middle of the scale, the output
            NaN without an answer. It returns a number, of confusion matrices (..., C, C + 1) one each, shape (...);
            NaN where it is undefined.
        unit: ``%``: a share from 0 to 1, shown in per cent; ``dataset``: in the units of the dataset's values.
        decimals: that are shown.
        lower_is_better: its direction.
        scaled: whether it is multiplied so that the scale of the dataset becomes -1 to 1.
        undefined: why it may have no value although there are samples.
        inline: its title within a sentence.

    Raises:
        PluginError: an argument that means nothing.
    """
    stated = {"title": title, "takes": takes, "unit": unit, "decimals": decimals, "lower_is_better": lower_is_better}
    made = stated_metric("", stated)
    if made is None:
        unknown = unknown_name("takes", str(takes), _TAKEN)
        problem = f"metric {title!r}: takes = {takes!r}, unit = {unit!r}, decimals = {decimals!r} make no metric."
        hint = unknown.hint if takes not in _TAKEN else "unit is '%', 'dataset' or nothing, decimals are 0 to 9."
        raise PluginError(problem, hint)
    entry = replace(made, scaled=scaled, undefined=undefined, inline=inline)

    def decorate(function: Function) -> Function:
        setattr(function, MARK, entry)
        return function

    return decorate


def stated_metric(name: str, content: Mapping[str, Any]) -> Metric | None:
    """A metric of a plugin from what is stated of how it is shown; None where that is no such statement."""
    title, takes, unit, decimals = (content.get(key) for key in ("title", "takes", "unit", "decimals"))
    fits = isinstance(title, str) and 0 < len(title.strip()) <= 60 and title.isprintable()
    fits = fits and takes in _TAKEN and unit in _UNITS
    if not fits or not isinstance(decimals, int) or isinstance(decimals, bool) or not 0 <= decimals <= 9:
        return None
    return Metric(
        name,
        str(title).strip(),
        takes,  # type: ignore[arg-type]
        unit=unit,  # type: ignore[arg-type]
        decimals=decimals,
        lower_is_better=content.get("lower_is_better") is True,
        since=None,
    )
