"""The table of metrics: name, title, unit, direction, inputs, and the functions that compute and test each of them.

Scores, boards, reports, curves and figures read it. A new metric is one entry below: what it takes decides with what
its function is called, and everything else follows. Records from before it lack it, which ``fer-bench verify`` counts
and ``fer-bench rescore`` mends.

Metrics of plugins (:mod:`fer_bench.plugins`) come after the package's own: a function with :func:`metric` above it.
A record states how those are shown that it holds, so that boards are the same where the plugin is not installed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from fer_bench import metric_plugins
from fer_bench.metric_entry import METRICS as METRICS
from fer_bench.metric_entry import Metric as Metric
from fer_bench.metric_entry import Takes

NONE = "–"


_CLASSES, _PROBABILITIES, _LABELS, _VALUES, _SUMS = (
    "fer_bench.scoring.classification:",
    "fer_bench.scoring.probabilities:",
    "fer_bench.scoring.multilabel:",
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
    Metric("macro_ap", "Macro-AP", "probabilities", f"{_PROBABILITIES}macro_ap", unit="%", decimals=2),
    Metric("nll", "NLL", "probabilities", f"{_PROBABILITIES}nll", lower_is_better=True),
    Metric("brier", "Brier", "probabilities", f"{_PROBABILITIES}brier", lower_is_better=True, inline="Brier score"),
    Metric("ece", "ECE", "probabilities", f"{_PROBABILITIES}ece", lower_is_better=True),
    Metric(
        "map",
        "mAP",
        "labels",
        f"{_LABELS}mean_ap",
        unit="%",
        decimals=2,
        test="resampling",
        inline="mAP",
        since=3,
        undefined="no sample has any category",
    ),
    Metric(
        "mean_auc",
        "Mean ROC AUC",
        "labels",
        f"{_LABELS}mean_auc",
        unit="%",
        decimals=2,
        inline="mean ROC AUC",
        since=3,
        undefined="no category distinguishes the samples",
    ),
    Metric("binary_nll", "Binary NLL", "labels", f"{_LABELS}binary_nll", lower_is_better=True, since=3),
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
HEADLINE = {"classes": "accuracy", "labels": "map", "values": "ccc"}
# What the metrics of a kind of task take.
_TAKEN: dict[str, tuple[Takes, ...]] = {
    "classes": ("confusion", "probabilities"),
    "labels": ("labels",),
    "values": ("values", "signs"),
}


def table() -> tuple[Metric, ...]:
    """All metrics, in the order of the table, which is that of records and reports; those of plugins last."""
    return (*METRICS.in_order(), *(entry for entry, _ in metric_plugins.brought().values()))


def get(name: str) -> Metric | None:
    """A metric by name: the package's own, or one of a plugin that a record states or that can be used here."""
    return METRICS.get(name) or metric_plugins.find(name)


def names(*takes: Takes) -> tuple[str, ...]:
    """Names of the metrics that take one of these."""
    return tuple(metric.name for metric in table() if metric.takes in takes)


def of_kind(kind: str) -> tuple[Metric, ...]:
    """The metrics of a task of ``classes``, of several ``labels``, or of ``values``."""
    return tuple(metric for metric in table() if metric.takes in _TAKEN[kind])


def shown_of(kind: str, codes: Iterable[Mapping[str, Any]]) -> tuple[Metric, ...]:
    """The metrics of a kind of task that a reader of some records sees: the package's own, and those of plugins that
    the records state, wherever they are read.

    Args:
        kind: of the task.
        codes: what each record says of its ``code``.
    """
    both = (*METRICS.in_order(), *metric_plugins.stated_in(codes))
    return tuple(entry for entry in both if entry.takes in _TAKEN[kind])


def revision() -> int:
    """Number of this table's revision, which a record states: that of its newest metric."""
    return max(metric.since or 0 for metric in METRICS.in_order())


def find(name: str) -> Metric | None:
    """The metric of a name, of a path (``valence/ccc``, ``folds/averaged/ccc``) or of another split
    (``train_accuracy``); None if it is not a metric.
    """
    return get(name.rsplit("/", 1)[-1].removeprefix("train_").removeprefix("validation_"))


def headline(kind: str) -> Metric:
    """The headline score of tasks of ``classes``, ``labels`` or ``values``."""
    return METRICS[HEADLINE[kind]]


def title_of(name: str) -> str:
    """Title of a metric; of what is none, its name."""
    found = get(name)
    return found.title if found else name


def in_words(name: str) -> str:
    """Title of a metric within a sentence; of what is none, its name."""
    found = get(name)
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


def decimals(value: float | None) -> str:
    """A score with four decimals, whatever its unit; a dash where it is undefined."""
    return NONE if value is None else f"{value:.4f}"


def in_units(value: float | None, name: str) -> str:
    """A score as text, with its unit."""
    return NONE if value is None else number(value, name) + unit_sign(name)
