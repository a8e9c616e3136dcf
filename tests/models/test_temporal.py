"""Temporal models: what is padded reaches no frame, what is later reaches no earlier one, and memory is the clip."""

from __future__ import annotations

import pytest
import torch

from fer_bench.errors import SpecError
from fer_bench.models.clip_network import ClipNetwork
from fer_bench.models.stages import stages_of
from fer_bench.models.temporal import Memory, TemporalHead
from fer_bench.models.temporal_options import (
    GruOptions,
    TcnOptions,
    TransformerOptions,
    temporal_options,
)
from fer_bench.models.zoo import build_specified
from fer_bench.spec import RunSpec

LENGTHS = torch.tensor([7, 30, 1, 12])
KINDS = [GruOptions(layers=2, width=16), TcnOptions(width=16), TransformerOptions(width=16, window=5)]


def head_of(options):
    torch.manual_seed(0)
    head = TemporalHead(10, 2, options).eval()
    with torch.no_grad():
        for parameter in head.model.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return head


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("options", KINDS, ids=["gru", "tcn", "transformer"])
def test_clips_of_a_batch_are_what_they_are_alone(options, causal):
    head, frames = head_of(options.model_copy(update={"causal": causal})), torch.randn(50, 10)
    alone = torch.cat([head(clip) for clip in frames.split(LENGTHS.tolist())])
    torch.testing.assert_close(head(frames, LENGTHS), alone, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("options", KINDS, ids=["gru", "tcn", "transformer"])
def test_frame_by_frame_is_the_whole_clip_and_nothing_later_counts(options):
    head, clip = head_of(options), torch.randn(40, 10)
    whole, memory = head(clip), Memory(head)
    torch.testing.assert_close(torch.stack([memory.step(frame) for frame in clip]), whole, atol=1e-5, rtol=1e-4)
    later = torch.cat([clip[:20], torch.randn(20, 10)])
    torch.testing.assert_close(head(later)[:20], whole[:20], atol=1e-6, rtol=0)
    assert not torch.allclose(head(later)[20:], whole[20:])
    # Of what is further back than a model reaches, nothing is left.
    if head.model.reach is not None:
        earlier = torch.cat([torch.randn(1, 10), clip[1:]])
        changed = (head(earlier) - whole).abs().amax(dim=1) > 1e-6
        assert changed.nonzero().max() < head.model.reach


def test_a_kernel_of_one_looks_at_single_frames():
    head, clip = head_of(TcnOptions(width=16, kernel=1)), torch.randn(9, 10)
    torch.testing.assert_close(head(clip), torch.cat([head(frame[None]) for frame in clip]), atol=1e-6, rtol=1e-5)


def spec_of(**settings):
    return RunSpec(**{"task": "va", "model_options": {"width": 4}, "temporal": "gru", **settings})


def test_a_network_over_clips_has_the_stages_of_the_one_below_and_a_new_head():
    network = build_specified(spec_of(freeze="backbone"), 2, native_size=48)
    assert isinstance(network, ClipNetwork)
    stages = stages_of(network.body)
    plain = stages_of(build_specified(spec_of(temporal="none"), 2, native_size=48).body)
    assert len(stages.backbone) == len(plain.backbone)
    assert all(name.startswith("head.") for name in stages.head)
    # A frozen trunk is in evaluation mode whatever the rest is in.
    network.train()
    assert not any(module.training for module in network.body.trunk.modules())
    assert network.body.head.training
    images = torch.randint(0, 255, (6, 1, 48, 48), dtype=torch.uint8)
    network.eval()
    lengths = torch.tensor([4, 2])
    torch.testing.assert_close(network(network.features(images), lengths), network(images, lengths))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"temporal": "none", "temporal_options": {"width": 8}}, "changes nothing"),
        ({"temporal_options": {"kernel": 3}}, "kernel"),
        ({"temporal_options": {"widht": 3}}, "width"),
        ({"temporal_options": {"layers": 0}}, "greater than or equal to 1"),
        ({"temporal": "tcn", "temporal_options": {"kernel": 4, "causal": False}}, "must be odd"),
        ({"temporal": "transformer", "temporal_options": {"heads": 3}}, "no multiple of 3 heads"),
    ],
)
def test_options_that_cannot_be(settings, message):
    with pytest.raises(SpecError) as caught:
        temporal_options(spec_of(**settings))
    assert message in f"{caught.value.problem} {caught.value.hint}"
