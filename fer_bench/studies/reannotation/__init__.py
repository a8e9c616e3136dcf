"""The re-annotation study (Kim and Wallraven 2021): what people say to labelled faces, against the labels and against
networks.
"""

from __future__ import annotations

from fer_bench.studies.reannotation.run import study_reannotation
from fer_bench.studies.reannotation.study import NetworkOutputs

__all__ = ["NetworkOutputs", "study_reannotation"]
