"""build_ensemble(): members from the store, chosen on validation, joined, tested once, and written down as a record
like any other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

from fer_bench import metrics
from fer_bench.ensembles.choice import Order, Selection, TopK
from fer_bench.ensembles.curve import draw_curve
from fer_bench.ensembles.ensemble_record import draft_record
from fer_bench.ensembles.members import Pool, find_members, parts_of
from fer_bench.ensembles.part import Options, build_part
from fer_bench.ensembles.votes import PLAIN, Rule, rules_of
from fer_bench.errors import SpecError
from fer_bench.protocols import SELECTED_ON_TEST, Protocol
from fer_bench.results.record import Record
from fer_bench.results.store import Store
from fer_bench.scoring.folds import pooled
from fer_bench.scoring.moments import of_sums
from fer_bench.scoring.record import scored


def build_ensemble(
    store: Store,
    protocol: Protocol,
    members: Sequence[str] | None = None,
    top_k: TopK = None,
    rule: Rule | None = None,
    order: Order = "validation",
    selection: Selection | None = None,
    *,
    pool: Pool | None = None,
    bags: int = 0,
    seed: int = 0,
) -> Record:
    """Build an ensemble of stored predictions, score it, and write its record with the figure ``<run_id>.curve.png``
    next to it.

    Of cross-validations every fold is chosen and joined by itself, on its own validation samples, and the record is
    over all folds together.

    Args:
        store: where members are and where the record goes.
        protocol: of classes, several labels or values.
        members: run ids; None: every ``trained`` record that can be ranked.
        top_k: only so many of the best, or ``best``: as many as score best together under the rule; None: all.
        rule: of classes ``majority``, ``weighted`` or ``soft``; of labels and values ``mean`` or ``weighted_mean``, by
            mAP or CCC on validation. None: ``soft`` or ``mean``.
        order: the split whose score orders members, and sizes the ensemble with ``best``. ``test`` is how An, Liu and
            Zheng (2020) did it, section 5.1.2; the row then says *selected on test*.
        selection: ``greedy``, ``mixture`` (of classes) or ``stack`` (of classes a logistic, of values a ridge
            regression), which begin from the ``top_k`` members and decide on validation alone; with the rule ``soft``
            or ``mean``.
        pool: narrows the members that are taken where none are named.
        bags: of the greedy selection.
        seed: of bags and folds.

    Returns:
        The record as written. The same members and options give the same run id.

    Raises:
        SpecError: options that make no sense together, or fewer than two members.
        RecordError: members that do not belong together, by name.
        HardwareError: the disk is full.
    """
    rule = PLAIN[protocol.task.kind] if rule is None else rule
    _check_options(protocol, top_k, rule, order, selection, bags)
    records = find_members(store, protocol, members, pool)
    if isinstance(top_k, int) and top_k > len(records):
        problem = f"--top-k {top_k}: there are {len(records)} members."
        raise SpecError(problem, "Ask for fewer, or train more.")
    options = Options(rule, order, top_k, selection, bags, seed)
    parts = [build_part(store, protocol, part, options) for part in parts_of(store, protocol, records)]
    draft = draft_record(protocol, records, parts, options)
    joint = parts[0].joint if len(parts) == 1 else {"test": pooled([part.joint["test"] for part in parts])}
    record = scored(draft, protocol, joint)
    scores = {
        split: found.get(protocol.primary)
        for split, found in (("validation", record.validation_metrics), ("test", record.metrics))
    }
    figure = draw_curve(record.training["curve"], rule, record.spec["n_members"], scores if len(parts) == 1 else {})
    return store.put(record, joint, {"curve.png": figure})


def check_protocol(protocol: Protocol) -> None:
    """Refuse a protocol by whose metric members cannot be compared.

    Raises:
        SpecError: says by which they can.
    """
    by_kind = {"classes": metrics.names("confusion"), "labels": metrics.names("labels")}
    known = by_kind.get(protocol.task.kind) or of_sums()
    if protocol.primary not in known:
        problem = f"protocol {protocol.name} is ranked by {protocol.primary}, by which members cannot be chosen."
        raise SpecError(problem, f"There are ensembles for protocols ranked by {', '.join(known)}.")


def _check_options(protocol: Protocol, top_k: TopK, rule: str, order: str, selection: str | None, bags: int) -> None:
    check_protocol(protocol)
    kind = protocol.task.kind
    for what, value, known in (
        ("rule", rule, rules_of(kind)),
        ("order", order, get_args(Order)),
        ("selection", selection, (*get_args(Selection), None)),
    ):
        if value not in known:
            problem = f"unknown {what} {value!r}."
            raise SpecError(problem, f"Known for {kind}: {', '.join(str(name) for name in known if name)}.")
    if isinstance(top_k, int) and top_k < 2:
        problem = f"--top-k {top_k}: an ensemble needs at least two members."
        raise SpecError(problem, "Give 2 or more, or `best`.")
    if selection is not None and rule != PLAIN[kind]:
        what = "values" if kind == "values" else "probabilities"
        problem = f"the selection {selection!r} works on {what}, not with the rule {rule!r}."
        raise SpecError(problem, f"Use the rule {PLAIN[kind]} with it, or no selection.")
    if kind == "labels" and selection in ("mixture", "stack"):
        problem = f"the selection {selection!r} is of classes, or of values; {protocol.name} has several labels."
        raise SpecError(problem, "Use --selection greedy, or none.")
    if selection == "mixture" and kind == "values":
        problem = "the selection 'mixture' is by the likelihood of classes, and values have none."
        raise SpecError(problem, "Use --selection greedy or stack.")
    if selection == "stack" and SELECTED_ON_TEST in protocol.caveats:
        problem = f"the selection 'stack' is trained on validation, which is the test set under {protocol.name}."
        raise SpecError(problem, "Use another selection; its row says that it was selected on test.")
    if bags < 0 or (bags and selection != "greedy"):
        problem = f"--bags {bags}: bags belong to the greedy selection, and there are at least 0."
        raise SpecError(problem, "Add --selection greedy.")
