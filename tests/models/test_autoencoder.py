import pytest
import torch
from torch import nn

from fer_bench.errors import SpecError
from fer_bench.models.autoencoder import AutoencoderClassifier, Decoder, Encoder
from fer_bench.models.zoo import build_network

# Input and output channels of Tables 2 and 3, row by row.
ENCODER = [(3, 32), (32, 32), (32, 64), (64, 64), (64, 128), (128, 128), (128, 256), (256, 256)]
DECODER = [(256, 256), (256, 128), (128, 128), (128, 64), (64, 64), (64, 32), (32, 32), (32, 3)]


def count(module):
    return sum(p.numel() for p in module.parameters())


def convolutions(rows, norms):
    """3 x 3 filters and biases, and two numbers per channel of a batch norm."""
    return sum(9 * a * b + b + 2 * b * norm for (a, b), norm in zip(rows, norms, strict=True))


def dense(a, b):
    return a * b + b


@pytest.mark.parametrize("code", [200, 500, 686, 1000])
def test_parameters_of_tables_2_to_4(code):
    body = AutoencoderClassifier(7, code=code)
    assert count(body.encoder) == convolutions(ENCODER, [1] * 8) + dense(256 * 3 * 3, code)
    # The last row of Table 3 has neither norm nor activation.
    assert count(body.decoder) == convolutions(DECODER, [1] * 7 + [0]) + dense(code, 256 * 3 * 3)
    assert count(body.classifier) == dense(code, 512) + dense(512, 7)


def test_layers_of_tables_2_to_4_in_order():
    body = AutoencoderClassifier(7)
    for part, kind, rows in ((body.encoder, nn.Conv2d, ENCODER), (body.decoder, nn.ConvTranspose2d, DECODER)):
        found = [module for module in part.modules() if isinstance(module, kind)]
        assert [(c.in_channels, c.out_channels) for c in found] == rows
        assert {(c.kernel_size, c.stride, c.padding) for c in found} == {((3, 3), (1, 1), (1, 1))}
    assert [type(layer) for layer in body.classifier] == [nn.Linear, nn.ReLU, nn.Dropout, nn.Linear]
    assert body.classifier[2].p == 0.5


def test_shapes():
    encoder, decoder = Encoder(), Decoder()
    seen = []
    for block in decoder.blocks:
        block.register_forward_hook(lambda _, __, output: seen.append(tuple(output.shape[1:])))
    with torch.no_grad():
        codes, places = encoder(torch.rand(2, 3, 48, 48))
        assert decoder(codes, places).shape == (2, 3, 48, 48)
    assert codes.shape == (2, 686)
    assert [tuple(indices.shape) for indices in places] == [
        (2, 32, 24, 24),
        (2, 64, 12, 12),
        (2, 128, 6, 6),
        (2, 256, 3, 3),
    ]
    assert seen == [(256, 3, 3), (128, 6, 6), (64, 12, 12), (32, 24, 24)]


def test_unpooling_puts_values_where_the_maxima_were():
    torch.manual_seed(0)
    body = AutoencoderClassifier(7).eval()
    pooled, unpooled = [], []
    body.decoder.unpool.register_forward_hook(lambda _, given, output: unpooled.append((given[0], output)))
    body.encoder.pool.register_forward_hook(lambda _, given, output: pooled.append((given[0], output[0])))
    with torch.no_grad():
        body.reconstruct(torch.rand(2, 3, 48, 48))
    assert len(unpooled) == len(pooled) == 4
    for (values, output), (before, maxima) in zip(unpooled, reversed(pooled), strict=True):
        # Wherever the decoder writes, the encoder's map holds the maximum of its window.
        spread = nn.functional.interpolate(maxima, scale_factor=2, mode="nearest")
        assert (before == spread)[output != 0].all()
        torch.testing.assert_close(output.sum(), values.sum(), rtol=1e-4, atol=1e-3)
        assert (output == 0).float().mean() > 0.7


def test_the_reconstruction_depends_on_the_indices():
    torch.manual_seed(0)
    body = AutoencoderClassifier(7).eval()
    one, other = torch.rand(2, 1, 3, 48, 48)
    with torch.no_grad():
        codes, places = body.reconstruct(one)[0], body.encoder(other)[1]
        own, foreign = body.reconstruct(one)[1], body.decoder(codes, places)
    assert (own - foreign).abs().max() > 1e-3


def test_without_a_decoder_there_is_none():
    body = AutoencoderClassifier(7, decoder=False)
    whole = AutoencoderClassifier(7)
    assert body.decoder is None
    assert count(body) == count(whole.encoder) + count(whole.classifier)
    assert not any("decoder" in name for name in body.state_dict())
    assert body(torch.rand(2, 3, 48, 48)).shape == (2, 7)


def test_another_size_and_another_number_of_classes():
    with torch.device("meta"):
        network = build_network("autoencoder", 8, image_size=64, options={"code": 200})
        assert network.body(torch.zeros(2, 3, 64, 64)).shape == (2, 8)
        assert network.body.reconstruct(torch.zeros(2, 3, 64, 64))[1].shape == (2, 3, 64, 64)
    with pytest.raises(SpecError, match="autoencoder"):
        build_network("autoencoder", 7, options={"codes": 3})
