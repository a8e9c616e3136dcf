"""`fer-bench live` end to end on a video of enlarged faces: detection rate, latency, frames per second, and memory over
the frames.

The faces are FER2013's (enlarged to 192 px, with a border of 64) where ``--faces`` names its CSV file, drawn ones
otherwise. Needs MediaPipe and the landmarker's model (``FER_BENCH_LANDMARKER``). Every frame is found, cut out,
predicted, drawn and written to an mp4 file, as the verb does it.

Usage: python benchmarks/perf/live.py --run RUN_OR_ONNX [--frames 2000] [--faces fer2013.csv] [--realtime]
"""

from __future__ import annotations

import argparse
import gc
import tempfile
from pathlib import Path

import cv2
import numpy as np

from fer_bench.datasets.synthfaces import read_synthfaces
from fer_bench.deploy.predictor import open_predictor
from fer_bench.faces.detector import open_detector
from fer_bench.live.capture import open_source
from fer_bench.live.session import run_live
from fer_bench.results.store import Store

LEAST_RATE = 15
HELD = 5  # frames for which a face stays


def grey_faces(csv: str | None, n: int) -> list[np.ndarray]:
    if csv is None:
        images = read_synthfaces({"n_train": max(n, 14), "n_validation": 7, "n_test": 7}).images
        return [np.asarray(images[i]) for i in range(n)]
    with Path(csv).open() as file:
        next(file)
        return [np.array(next(file).split(",")[1].split(), dtype=np.uint8).reshape(48, 48) for _ in range(n)]


def write_video(path: Path, faces: list[np.ndarray], frames: int) -> None:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 25, (320, 320))
    for i in range(frames):
        large = cv2.resize(faces[(i // HELD) % len(faces)], (192, 192), interpolation=cv2.INTER_CUBIC)
        writer.write(cv2.cvtColor(cv2.copyMakeBorder(large, 64, 64, 64, 64, cv2.BORDER_REPLICATE), cv2.COLOR_GRAY2BGR))
    writer.release()


def resident() -> float:
    """Memory of this process, in MiB."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20


class Watched:
    """A source that notes the memory on the way."""

    def __init__(self, source, every: int) -> None:
        self._source, self._every = source, every
        self.name, self.live, self.rate, self.n_read = source.name, source.live, source.rate, 0
        self.memory: list[tuple[int, float]] = []

    def read(self):
        """The source's next frame."""
        frame = self._source.read()
        self.n_read += frame is not None
        if frame is None or frame.index % self._every == 0:
            self.memory.append((frame.index if frame is not None else self.n_read, resident()))
        return frame

    @property
    def end(self):
        """The source's end."""
        return self._source.end

    @property
    def shortfall(self):
        """What the source did not give."""
        return self._source.shortfall

    def close(self) -> None:
        """Close the source."""
        self._source.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", required=True)
    parser.add_argument("--frames", type=int, default=2000)
    parser.add_argument("--faces")
    parser.add_argument("--realtime", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        video = Path(folder) / "faces.mp4"
        write_video(video, grey_faces(given.faces, max(given.frames // HELD, 1)), given.frames)
        predictor = open_predictor(Store(), given.run)
        source = Watched(open_source(str(video)), max(given.frames // 10, 1))
        with open_detector(max_faces=4) as detector:
            summary = run_live(
                predictor,
                detector,
                source,
                output=Path(folder) / "out.mp4",
                table=Path(folder) / "out.csv",
                realtime=given.realtime,
            )
    for line in summary.lines():
        print(line)
    print(
        f"{predictor.card.model}, {predictor.card.height} px; {'at' if summary.rate >= LEAST_RATE else 'BELOW'} the"
        f" {LEAST_RATE} frames/s that are asked for"
    )
    # The first frames fill caches and pools.
    settled = [megabytes for index, megabytes in source.memory if index >= given.frames // 5]
    print("memory: " + ", ".join(f"{index}: {megabytes:.0f} MiB" for index, megabytes in source.memory))
    print(f"growth from frame {given.frames // 5} on: {settled[-1] - settled[0]:+.1f} MiB")


if __name__ == "__main__":
    main()
