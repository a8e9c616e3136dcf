import numpy as np
import pytest
import torch
from torch import nn

from fer_bench.models.dropout import Dropout


def drawn(p, shape, layout=torch.contiguous_format, dtype=torch.float32, seed=0):
    torch.manual_seed(seed)
    x = torch.ones(shape, dtype=dtype).contiguous(memory_format=layout).requires_grad_()
    return x, Dropout(p)(x)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("p", [0.1, 0.25, 0.5, 0.9])
def test_it_drops_at_its_rate_and_keeps_the_mean(p, dtype, layout):
    shape = (16, 8, 24, 23)
    x, y = drawn(p, shape, layout, dtype)
    assert y.is_contiguous(memory_format=layout)
    assert y.dtype == dtype
    dropped = (y == 0).double().mean().item()
    assert dropped == pytest.approx(p, abs=4 * np.sqrt(p * (1 - p) / x.numel()) + 1 / 65536)
    assert y.detach().unique().shape == (2,)
    torch.testing.assert_close(
        y.detach().double().max().item(), 1 / (1 - p), rtol=4e-3 if dtype == torch.bfloat16 else 1e-3, atol=0
    )
    y.sum().backward()
    # The gradient passes where the value did, scaled alike.
    assert torch.equal(x.grad, y.detach())


def test_elements_are_independent():
    # The four lanes of a random number, neighbours, channels and images: none of them goes with another.
    zero = (drawn(0.5, (64, 4, 32, 32), torch.channels_last)[1] == 0).permute(0, 2, 3, 1).reshape(-1).double() - 0.5
    for step in (1, 2, 3, 4, 8, 32 * 4, 32 * 32 * 4):
        assert abs((zero[:-step] * zero[step:]).mean().item()) < 4 * 0.25 / np.sqrt(len(zero) - step)
    for lane in range(4):
        assert abs(zero[lane::4].mean().item()) < 4 * 0.5 / np.sqrt(len(zero) / 4)


def test_the_seed_decides():
    (_, a), (_, b), (_, c) = (drawn(0.3, (2, 3, 5, 5), seed=seed) for seed in (1, 1, 2))
    assert torch.equal(a, b)
    assert not torch.equal(a, c)


def test_elsewhere_it_is_torchs():
    x = torch.randn(4, 6)
    assert torch.equal(Dropout(0.5).eval()(x), x)
    assert torch.equal(Dropout(0.0)(x), x)
    assert not Dropout(1.0)(x).any()
    # Rows with gaps have no dense storage to lay a mask over.
    gaps = torch.ones(64, 32)[:, ::2]
    torch.manual_seed(3)
    ours = Dropout(0.5)(gaps)
    torch.manual_seed(3)
    assert torch.equal(ours, nn.Dropout(0.5)(gaps))
