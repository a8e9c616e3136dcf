import pytest
import torch

from fer_bench.errors import HardwareError
from fer_bench.training import hardware


@pytest.fixture
def no_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)


def processor(monkeypatch, capability, bf16, amx):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: bf16, raising=False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx, raising=False)


@pytest.mark.parametrize(
    ("capability", "bf16", "amx", "precision"),
    [
        ("AVX512", True, False, "bf16-mixed"),
        ("AVX512", False, True, "bf16-mixed"),
        ("AVX512", False, False, "32-true"),
        ("AVX2", True, False, "32-true"),
    ],
)
def test_bf16_on_a_cpu_only_in_hardware(tiny, no_gpu, monkeypatch, capability, bf16, amx, precision):
    processor(monkeypatch, capability, bf16, amx)
    device = hardware.resolve(tiny(precision="auto", execution={"accelerator": "auto"}))
    assert (device.accelerator, device.precision, device.workers) == ("cpu", precision, 0)


def test_a_torch_that_cannot_say_is_taken_for_no(tiny, no_gpu, monkeypatch):
    monkeypatch.delattr(torch.cpu, "_is_avx512_bf16_supported", raising=False)
    monkeypatch.delattr(torch.cpu, "_is_amx_tile_supported", raising=False)
    assert not hardware.has_fast_bf16()


@pytest.mark.parametrize("accelerator", ["cuda", "gpu", "mps"])
def test_an_accelerator_that_is_not_there(tiny, no_gpu, accelerator):
    with pytest.raises(HardwareError, match=f"accelerator = '{accelerator}'") as caught:
        hardware.resolve(tiny(execution={"accelerator": accelerator}))
    assert "--accelerator cpu" in caught.value.hint


def test_half_precision_needs_a_gpu(tiny, no_gpu):
    with pytest.raises(HardwareError, match="16-mixed"):
        hardware.resolve(tiny(precision="16-mixed"))


def test_more_gpus_than_there_are(tiny, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(HardwareError, match="this machine has 1 GPU") as caught:
        hardware.resolve(tiny(execution={"accelerator": "cuda", "devices": 4}))
    assert "--devices 1" in caught.value.hint


def test_what_is_asked_for_is_taken(tiny, no_gpu):
    device = hardware.resolve(tiny(precision="bf16-mixed", execution={"workers": 3}))
    assert (device.precision, device.workers, device.device) == ("bf16-mixed", 3, torch.device("cpu"))
