"""fer_bench: a benchmark suite with a leaderboard for facial-expression and affect recognition.

What is offered here is in :mod:`fer_bench.api`; it is imported when it is first asked for, so that ``import fer_bench``
costs next to nothing.
"""

# Type checkers take it for true, by its name.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from fer_bench.api import compare as compare
    from fer_bench.api import evaluate as evaluate
    from fer_bench.api import evaluate_model as evaluate_model
    from fer_bench.api import images as images
    from fer_bench.api import label_set as label_set
    from fer_bench.api import leaderboard as leaderboard
    from fer_bench.api import load_dataset as load_dataset
    from fer_bench.api import load_model as load_model
    from fer_bench.api import predict as predict
    from fer_bench.api import run as run
    from fer_bench.api import score as score
    from fer_bench.api import submit as submit
    from fer_bench.api import template as template
    from fer_bench.api import value_set as value_set
    from fer_bench.api import verify as verify
    from fer_bench.errors import FerBenchError as FerBenchError
    from fer_bench.metric_entry import metric as metric
    from fer_bench.paths import scratch as scratch
    from fer_bench.plugins import register as register
    from fer_bench.predictions import Predictions as Predictions
    from fer_bench.protocols import Protocol as Protocol
    from fer_bench.results.record import Record as Record
    from fer_bench.results.store import Store as Store
    from fer_bench.spec import RunSpec as RunSpec

__version__ = "0.1.0"

_PLACES = {
    **dict.fromkeys(
        (
            "compare",
            "evaluate",
            "evaluate_model",
            "images",
            "label_set",
            "leaderboard",
            "load_dataset",
            "load_model",
            "predict",
            "run",
            "score",
            "submit",
            "template",
            "value_set",
            "verify",
        ),
        "api",
    ),
    "FerBenchError": "errors",
    "metric": "metric_entry",
    "scratch": "paths",
    "register": "plugins",
    "Predictions": "predictions",
    "Protocol": "protocols",
    "Record": "results.record",
    "Store": "results.store",
    "RunSpec": "spec",
}
__all__ = [*_PLACES]


def __getattr__(name: str) -> object:
    """Import what is asked for, when it is asked for."""
    import importlib

    if name not in _PLACES:
        problem = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(problem)
    found: object = getattr(importlib.import_module(f"{__name__}.{_PLACES[name]}"), name)
    if name != "leaderboard":
        globals()[name] = found
    return found


def __dir__() -> list[str]:
    """What is here, and what is offered."""
    return sorted({*globals(), *_PLACES})
