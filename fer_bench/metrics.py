"""The table of metrics: name, title, unit, direction, inputs, and the functions that compute and test each of them.

Scores, boards, reports, curves and figures read it. A new metric is one entry below; ``takes`` decides the arguments of
its function. Older records lack it: ``fer-bench verify`` counts them, and ``fer-bench rescore`` adds it.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from fer_bench.registry import Registry

# Arguments of a metric's function: a Confusion or Probabilities of fer_bench.scoring.classification; targets and
# outputs of one dimension, shape (N,); the same minus the middle of the scale, NaN without an answer; nothing, for
# values that training logs.
Takes = Literal["confusion", "probabilities", "values", "signs", "training"]
NONE = "–"


@dataclass(frozen=True)
class Metric:
    """One number that says how good predictions are.

    Args:
        name: in records, protocols and settings.
        title: shown in tables and figures.
        takes: arguments of its function.
        compute: ``module:function``; NaN where it is undefined.
        unit: ``%``: a share, shown in per cent; ``dataset``: the units of the dataset's values; empty: a plain number.
        decimals: number of decimals shown.
        lower_is_better: its direction.
        scaled: whether it is rescaled from the scale of the dataset to -1 to 1.
        test: how two rows are compared: ``outcomes``, by the samples each classified correctly; ``resampling``, by a
            paired bootstrap; empty: not at all.
        of_sums: of values that are resampled, ``module:function`` of a Sums of :mod:`fer_bench.scoring.moments`.
        undefined: why it may have no value although there are samples.
        inline: its title within a sentence; empty: the title with a lower-case first word, unless that is an
            abbreviation.
        since: revision of this table that introduced it: records of that revision or later must contain it. A new
            metric takes the highest number plus one, unless that is unreleased. None: a metric of a plugin, which no
            record must contain.
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
        return f"{100 * value if self.is_share else value:.{self.decimals if decimals is None else decimals}f}"


METRICS: Registry[Metric] = Registry("metric")
_CLASSES, _VALUES, _SUMS = (
    "fer_bench.scoring.classification:",
    "fer_bench.scoring.regression:",
    "fer_bench.scoring.moments:",
)
for _metric in (
    Metric("accuracy", "Accuracy", "confusion", f"{_CLASSES}accuracy", unit="%", decimals=2, test="outcomes"),
    Metric(
        "balanced_accuracy",
        "Balanced accuracy",
        "confusion",
        f"{_CLASSES}balanced_accuracy",
        unit="%",
        decimals=2,
        test="resampling",
    ),
    Metric("macro_f1", "Macro-F1", "confusion", f"{_CLASSES}macro_f1", unit="%", decimals=2, test="resampling"),
    Metric(
        "weighted_f1", "Weighted F1", "confusion", f"{_CLASSES}weighted_f1", unit="%", decimals=2, test="resampling"
    ),
    Metric(
        "cohen_kappa",
        "Cohen's kappa",
        "confusion",
        f"{_CLASSES}cohen_kappa",
        test="resampling",
        inline="Cohen's kappa",
        since=2,
        undefined="all targets and all answers are of one class",
    ),
    Metric(
        "mcc",
        "MCC",
        "confusion",
        f"{_CLASSES}mcc",
        test="resampling",
        since=2,
        undefined="all targets, or all answers, are of one class",
    ),
    Metric("macro_ap", "Macro-AP", "probabilities", f"{_CLASSES}macro_ap", unit="%", decimals=2),
    Metric("nll", "NLL", "probabilities", f"{_CLASSES}nll", lower_is_better=True),
    Metric("brier", "Brier", "probabilities", f"{_CLASSES}brier", lower_is_better=True, inline="Brier score"),
    Metric("ece", "ECE", "probabilities", f"{_CLASSES}ece", lower_is_better=True),
    Metric("ccc", "CCC", "values", f"{_VALUES}ccc", test="resampling", of_sums=f"{_SUMS}ccc"),
    Metric("pcc", "PCC", "values", f"{_VALUES}pcc", test="resampling", of_sums=f"{_SUMS}pcc"),
    Metric("icc31", "ICC(3,1)", "values", f"{_VALUES}icc31", test="resampling", of_sums=f"{_SUMS}icc31"),
    Metric(
        "rmse",
        "RMSE",
        "values",
        f"{_VALUES}rmse",
        unit="dataset",
        lower_is_better=True,
        test="resampling",
        of_sums=f"{_SUMS}rmse",
    ),
    Metric(
        "mae",
        "MAE",
        "values",
        f"{_VALUES}mae",
        unit="dataset",
        lower_is_better=True,
        test="resampling",
        of_sums=f"{_SUMS}mae",
    ),
    Metric("sagr", "SAGR", "signs", f"{_VALUES}sagr"),
    Metric("rmse_scaled", "RMSE on −1 to 1", "values", f"{_VALUES}rmse", scaled=True, lower_is_better=True),
    Metric("mae_scaled", "MAE on −1 to 1", "values", f"{_VALUES}mae", scaled=True, lower_is_better=True),
    Metric("loss", "loss", "training", lower_is_better=True),
):
    METRICS.add(_metric.name, _metric)
# The headline score of each kind of task, whichever metric ranks it.
HEADLINE = {"classes": "accuracy", "values": "ccc"}


def table() -> tuple[Metric, ...]:
    """All metrics, in the order of the table, which is that of records and reports; those of plugins last."""
    return METRICS.in_order()


def names(*takes: Takes) -> tuple[str, ...]:
    """Names of the metrics that take one of these."""
    return tuple(metric.name for metric in table() if metric.takes in takes)


def of_kind(kind: str) -> tuple[Metric, ...]:
    """The metrics of a task of ``classes``, or of ``values``."""
    takes = ("confusion", "probabilities") if kind == "classes" else ("values", "signs")
    return tuple(metric for metric in table() if metric.takes in takes)


def revision() -> int:
    """Revision of this table, which records state: that of its newest metric."""
    return max(metric.since or 0 for metric in table())


def find(name: str) -> Metric | None:
    """The metric of a name, of a path (``valence/ccc``, ``folds/averaged/ccc``) or of another split
    (``train_accuracy``); None if it is not a metric.
    """
    return METRICS.get(name.rsplit("/", 1)[-1].removeprefix("train_").removeprefix("validation_"))


def headline(kind: str) -> Metric:
    """The headline score of tasks of ``classes`` or ``values``."""
    return METRICS[HEADLINE[kind]]


@functools.cache
def function(reference: str) -> Callable[..., Any]:
    """The function that ``module:function`` names."""
    module, _, attribute = reference.partition(":")
    found: Callable[..., Any] = getattr(importlib.import_module(module), attribute)
    return found


def title_of(name: str) -> str:
    """Title of a metric; any other name unchanged."""
    found = METRICS.get(name)
    return found.title if found else name


def in_words(name: str) -> str:
    """Title of a metric within a sentence; any other name unchanged."""
    found = METRICS.get(name)
    return found.in_words if found else name


def is_share(name: str) -> bool:
    """Whether a metric is shown in per cent."""
    found = find(name)
    return found is not None and found.is_share


def unit_sign(name: str) -> str:
    """`` %`` for metrics in per cent, else nothing."""
    return " %" if is_share(name) else ""


def number(value: float | None, name: str) -> str:
    """A score as text, without its unit; a dash where it is undefined."""
    if value is None:
        return NONE
    found = find(name)
    return found.text(value) if found else f"{value:.3f}"


def in_units(value: float | None, name: str) -> str:
    """A score as text, with its unit."""
    return NONE if value is None else number(value, name) + unit_sign(name)
