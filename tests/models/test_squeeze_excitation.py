import pytest
import torch

from fer_bench.errors import SpecError
from fer_bench.models.squeeze_excitation import SqueezeExcitation
from fer_bench.models.zoo import build_network


def test_channels_are_weighed_as_the_paper_says():
    block = SqueezeExcitation(32, 2)
    x = torch.randn(3, 32, 6, 5)
    first, _, second, _ = block.weigh
    weights = torch.sigmoid(
        second.bias + torch.relu(first.bias + x.mean(dim=(2, 3)) @ first.weight.T) @ second.weight.T
    )
    torch.testing.assert_close(block(x), x * weights[:, :, None, None])
    assert first.out_features == 16
    assert SqueezeExcitation(32, 16).weigh[0].out_features == 4


def test_the_five_layer_cnn_takes_it_and_stays_as_it_was_without_it():
    torch.manual_seed(0)
    plain = build_network("five_layer_cnn", 7, native_size=48)
    torch.manual_seed(0)
    none = build_network("five_layer_cnn", 7, native_size=48, options={"se": 0})
    assert all(torch.equal(a, b) for a, b in zip(plain.state_dict().values(), none.state_dict().values(), strict=True))
    assert plain.state_dict().keys() == none.state_dict().keys()
    weighed = build_network("five_layer_cnn", 7, native_size=48, options={"se": 16}).body
    blocks = [layer for layer in weighed.features if isinstance(layer, SqueezeExcitation)]
    assert [block.weigh[2].out_features for block in blocks] == [32, 64, 128, 256]
    extra = sum(p.numel() for p in weighed.parameters()) - sum(p.numel() for p in plain.body.parameters())
    assert extra == sum(2 * c * max(c // 16, 4) + c + max(c // 16, 4) for c in (32, 64, 128, 256))


@pytest.mark.parametrize("se", [-1, 1.5, "all", True])
def test_another_reduction_is_refused(se):
    with pytest.raises(SpecError, match="se is"):
        build_network("five_layer_cnn", 7, native_size=48, options={"se": se})
