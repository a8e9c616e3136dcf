"""What the paper prints about its annotations, to be set next to what they say: Tables 2 and 4 of Mertens et al.,
FindingEmo (2024).
"""

from __future__ import annotations

from dataclasses import dataclass

Printed = tuple[float, float]  # mean and standard deviation


@dataclass(frozen=True)
class PrintedRow:
    """A column of Table 2 or 4.

    Args:
        count: annotations.
        arousal: mean and standard deviation.
        valence: likewise.
        ambiguity: likewise.
    """

    count: int
    arousal: Printed
    valence: Printed
    ambiguity: Printed


IMAGES = 25_869  # section 2.1: one annotation each
ANNOTATORS = 655  # sections 2.1 and A.4

TABLE_2 = {
    "joy": PrintedRow(7026, (2.96, 0.96), (1.90, 0.96), (1.58, 1.66)),
    "trust": PrintedRow(3549, (2.57, 1.09), (1.41, 1.09), (1.88, 1.64)),
    "fear": PrintedRow(2401, (3.24, 1.24), (-1.34, 1.24), (2.09, 1.61)),
    "surprise": PrintedRow(888, (2.57, 1.41), (0.48, 1.41), (2.39, 1.68)),
    "sadness": PrintedRow(2665, (3.42, 1.29), (-1.57, 1.29), (1.84, 1.66)),
    "disgust": PrintedRow(1000, (2.44, 1.23), (-0.88, 1.23), (2.22, 1.65)),
    "anger": PrintedRow(2439, (3.59, 1.17), (-1.58, 1.17), (1.99, 1.63)),
    "anticipation": PrintedRow(5901, (2.46, 1.21), (0.56, 1.21), (2.15, 1.61)),
}
# The column of serenity could not be read in the text that this was taken from.
TABLE_4 = {
    "acceptance": PrintedRow(1388, (2.21, 1.05), (1.14, 1.05), (2.00, 1.65)),
    "apprehension": PrintedRow(1400, (2.73, 1.12), (-0.96, 1.12), (2.26, 1.61)),
    "distraction": PrintedRow(356, (2.04, 1.11), (-0.06, 1.11), (2.71, 1.65)),
    "pensiveness": PrintedRow(706, (2.53, 1.17), (-0.90, 1.17), (2.33, 1.63)),
    "boredom": PrintedRow(587, (1.65, 0.94), (-0.36, 0.94), (2.30, 1.63)),
    "annoyance": PrintedRow(1008, (2.78, 1.02), (-1.20, 1.02), (2.21, 1.55)),
    "interest": PrintedRow(2688, (2.03, 0.99), (0.79, 0.99), (2.16, 1.62)),
    "joy": PrintedRow(3971, (3.04, 0.86), (2.02, 0.86), (1.47, 1.60)),
    "trust": PrintedRow(1145, (2.57, 1.05), (1.49, 1.05), (1.75, 1.59)),
    "fear": PrintedRow(679, (3.76, 1.13), (-1.79, 1.13), (1.92, 1.53)),
    "surprise": PrintedRow(311, (2.76, 1.41), (0.35, 1.41), (2.21, 1.70)),
    "sadness": PrintedRow(1092, (3.44, 1.18), (-1.65, 1.18), (1.82, 1.61)),
    "disgust": PrintedRow(248, (3.31, 1.08), (-1.62, 1.08), (2.12, 1.59)),
    "anger": PrintedRow(985, (3.99, 1.11), (-1.80, 1.11), (1.86, 1.63)),
    "anticipation": PrintedRow(1780, (2.58, 1.26), (0.49, 1.26), (2.24, 1.55)),
    "ecstasy": PrintedRow(1083, (3.97, 0.93), (2.27, 0.93), (1.52, 1.83)),
    "admiration": PrintedRow(1016, (3.06, 1.09), (1.70, 1.09), (1.84, 1.66)),
    "terror": PrintedRow(322, (4.34, 1.37), (-2.03, 1.37), (1.69, 1.65)),
    "amazement": PrintedRow(221, (3.14, 1.31), (1.51, 1.31), (2.13, 1.61)),
    "grief": PrintedRow(867, (4.12, 1.29), (-2.01, 1.29), (1.46, 1.64)),
    "loathing": PrintedRow(165, (3.93, 1.41), (-1.57, 1.41), (2.07, 1.79)),
    "rage": PrintedRow(446, (4.54, 1.38), (-1.92, 1.38), (1.80, 1.72)),
    "vigilance": PrintedRow(1433, (3.13, 1.41), (0.22, 1.41), (2.02, 1.66)),
}
