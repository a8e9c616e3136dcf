"""Real lines of FindingEmo's published files (package findingemo-light 1.0.0; Mertens et al. 2024, CC BY-NC-SA 4.0),
headers included."""

from pathlib import Path

ANNOTATIONS = (Path(__file__).parent / "annotations_single.ann").read_text(encoding="utf-8")
URLS = (Path(__file__).parent / "dataset_urls_exploded.json").read_text(encoding="utf-8")
