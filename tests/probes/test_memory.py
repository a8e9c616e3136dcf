"""Features of a dataset far larger than what may stay in memory."""

import sys

import pytest

from tests.forks import run_alone

SCRIPT = """
import resource, sys
import numpy as np, torch
from fer_bench.probes.backbones import Backbone
from fer_bench.probes.features import extract

class Photographs:
    # Decoded when asked for, as real ones.
    def __len__(self): return int(sys.argv[1])
    def __getitem__(self, i): return np.full((24, 32, 3), i % 251, dtype=np.uint8)

class Wide(torch.nn.Module):
    def forward(self, images): return images[:, :1, 0, 0].float().expand(-1, 4096) + torch.arange(4096) / 64

torch.set_num_threads(1)
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
module = Wide()
before = peak()
found = extract(Backbone("wide", module, "x", "as given", 0), Photographs(), {"dataset": "fake"})
assert found.values.shape == (int(sys.argv[1]), 4096) and found.values.dtype == np.float16
assert np.array_equal(found.values[::997, 0], np.arange(0, len(found.values), 997) % 251)
print(peak() - before)
"""


@pytest.mark.parametrize(("images", "gigabytes"), [(4000, 0.5), pytest.param(25000, 2.0, marks=pytest.mark.proof)])
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="ru_maxrss is in KiB on Linux only")
def test_what_features_need_of_memory(tmp_path, images, gigabytes):
    done = run_alone(SCRIPT, images, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < gigabytes
