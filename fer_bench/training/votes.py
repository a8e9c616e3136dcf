"""FER+'s votes as a teacher on FER2013: the votes of ten taggers on the training faces, for rows marked *extra labels*
(Barsoum et al. 2016).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fer_bench.data.datamodule import AffectDataModule
from fer_bench.errors import BadDataError, SpecError
from fer_bench.labels import FER7, FER8, class_map
from fer_bench.spec import RunSpec
from fer_bench.tasks.distilling import METHOD, VOTES, Distilling


@dataclass(frozen=True)
class Votes:
    """Votes on the training faces of a run.

    Args:
        shares: (N, 7): of each class among the votes for any of the seven; a face without such a vote keeps its label.
        digest: of the votes on the training faces.
        unnamed: faces without such a vote.
    """

    shares: npt.NDArray[np.float64]
    digest: str
    unnamed: int

    def softened(self, temperature: float) -> npt.NDArray[np.float64]:
        """As probabilities are whose logits are divided by the temperature."""
        soft: npt.NDArray[np.float64] = self.shares ** (1 / temperature)
        return soft / soft.sum(axis=1, keepdims=True)


def votes_for(spec: RunSpec, datamodule: AffectDataModule) -> Votes | None:
    """The votes that teach a run; None without any.

    Raises:
        SpecError: the run is not of FER2013's seven classes.
        MissingDataError: FER+'s votes are not there.
        BadDataError: they are of another copy of the faces.
    """
    if spec.method != METHOD or VOTES not in Distilling.of(spec).teachers:
        return None
    if (spec.dataset, spec.task) != ("fer2013", FER7.name):
        problem = (
            f"method_options.teachers: {VOTES} are votes on FER2013's faces; this run is of {spec.dataset} with the"
            f" task {spec.task}."
        )
        raise SpecError(problem, "Use --dataset fer2013 --task fer7, or on FER+ target_mode=probability.")
    from fer_bench.datasets.ferplus.module import read_ferplus

    samples, voted = datamodule.read_samples, read_ferplus(spec.execution.data_dir)
    if voted.checksums["train"][:8] != samples.checksums["train"][:8]:
        problem = (
            f"method_options.teachers: the votes of {voted.layout} are on another copy of the faces than"
            f" {samples.layout}."
        )
        raise BadDataError(problem, "Put fer2013.csv and fer2013new.csv into one folder.")
    train = samples.where("train")
    row = {str(name): i for i, name in enumerate(voted.ids)}
    counts = np.asarray(voted.columns["votes"], dtype=np.float64)[[row[str(name)] for name in samples.ids[train]]]
    seven = counts[:, class_map(FER7, FER8)]
    unnamed = seven.sum(axis=1) == 0
    seven[unnamed] = np.eye(len(FER7))[np.asarray(samples.targets[FER7.name], dtype=np.int64)[train][unnamed]]
    digest = hashlib.sha256(np.ascontiguousarray(counts.astype(np.int64)).tobytes()).hexdigest()[:16]
    return Votes(seven / seven.sum(axis=1, keepdims=True), digest, int(unnamed.sum()))
