"""The losses of a step neither wait for the device nor copy anything: a GPU would stand idle."""

from __future__ import annotations

import pytest
import torch

from qpi_kernels.bench.gpu.pretended_device import (
    PRETENDED,
    counted_traffic,
    register_pretended,
)
from qpi_kernels.models.networks import ObservationEncoder, OneStepNetwork, make_kernel_vae
from qpi_kernels.models.presets import ModelPreset
from qpi_kernels.models.representation import KernelRepresentation
from qpi_kernels.simulate.datasets.batches import Batch
from qpi_kernels.train.parameters import TrainingParameters
from qpi_kernels.train.stages import AlignmentStage, KernelStage, OneStepStage

pytestmark = pytest.mark.skipif(
    torch.cuda.is_available() or tuple(map(int, torch.__version__.split(".")[:2])) < (2, 10),
    reason="a device is pretended by torch 2.10 or later, where there is no GPU",
)
SIZES = {"name": "tiny", "channels": (8, 8, 8, 8), "layers": 1, "groups": 4}
PRESETS = {
    "as compact": ModelPreset(**SIZES, inputs="estimates"),
    "as published": ModelPreset(**SIZES, representation=KernelRepresentation(kind="min_max")),
}


def made_stage(stage: str, preset: ModelPreset) -> torch.nn.Module:
    parameters = TrainingParameters()
    if stage == "one-step":
        network = OneStepNetwork.of_preset(preset)
        return OneStepStage(network, preset.representation, parameters)
    vae = make_kernel_vae(preset)
    if stage == "kernels":
        return KernelStage(vae, preset.representation, parameters)
    encoder = ObservationEncoder.of_preset(preset)
    return AlignmentStage(encoder, vae, preset.representation, parameters)


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("stage", ["kernels", "alignment", "one-step"])
def test_a_step_neither_waits_nor_copies(stage: str, preset: str) -> None:
    device = register_pretended()
    module = made_stage(stage, PRESETS[preset]).to(device)
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(3, 8, 1, 16, 16, generator=generator)
    batch = Batch(
        kernel=images[0].to(PRETENDED),
        observation=images[1].to(PRETENDED),
        activation=(images[2] > 1).float().to(PRETENDED),
        fold=torch.tensor([0, 1, 2, 3, 4, 6, 0, 1]).to(PRETENDED),
    )
    noise = torch.randn(module.latent_shape(batch), generator=generator).to(PRETENDED)  # type: ignore[operator]
    # Angles and phases are copied once.
    module(batch, noise)
    with counted_traffic() as traffic:
        # Backward needs a device that was there before the process's first one.
        module(batch, noise)
    assert sum(traffic.launches.values()) > 100
    assert traffic.synchronisations == 0
    assert traffic.copies_to_host == traffic.copies_to_device == 0
