"""Materials register themselves, and are everywhere from then on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from typer.testing import CliRunner

from qpi_kernels.cli.application import app
from qpi_kernels.simulate import (
    Material,
    known_materials,
    register_material,
    simulate_scan,
    unregister_material,
)
from qpi_kernels.simulate.bands import SingleBand
from qpi_kernels.simulate.scan.parameters import SimulatedScanParameters


@dataclass(frozen=True)
class QuarticBand(SingleBand):
    """A band that is flat at its bottom."""

    reciprocity = True

    def energy(self, kx: torch.Tensor, ky: torch.Tensor) -> torch.Tensor:
        """Compute k^4 / 10 in eV."""
        return (kx**2 + ky**2) ** 2 / 10 - 0.3


@pytest.fixture
def quartic() -> Iterator[Material]:
    """A material of a band of its own, registered for one test."""
    material = replace(
        known_materials()["Ag111"],
        name="quartic",
        label="quartic band",
        make_band=QuarticBand,
        bias=0.1,
        broadening=0.05,
    )
    register_material(material)
    yield material
    unregister_material("quartic")


def test_a_registered_material_is_simulated_with_its_own_numbers(quartic: Material) -> None:
    parameters = SimulatedScanParameters(
        material="quartic", image_shape=(40, 40), kernel_shape=(33, 33)
    )
    assert parameters.broadening == 0.05
    kernel = simulate_scan(parameters, device="cpu").kernel
    rotated = np.rot90(kernel.values)
    np.testing.assert_allclose(kernel.values, rotated, atol=1e-4 * np.abs(rotated).max())


def test_a_registered_material_is_among_the_choices(quartic: Material) -> None:
    choices = SimulatedScanParameters.model_json_schema()["properties"]["material"]["enum"]
    assert choices[-1] == "quartic"


def test_a_registered_material_is_in_the_help_of_the_command(quartic: Material) -> None:
    shown = CliRunner().invoke(app, ["simulate", "--help"], env={"COLUMNS": "500"}).stdout
    assert "Bi2212|quartic" in shown


def test_an_unknown_material_is_refused_with_the_names() -> None:
    with pytest.raises(ValidationError, match=r"choose one of 'Ag111', .*'Bi2212'"):
        SimulatedScanParameters(material="quartic")


def test_a_name_is_taken_once(quartic: Material) -> None:
    assert register_material(quartic) is quartic
    with pytest.raises(ValueError, match="give this one another name"):
        register_material(replace(quartic, density=2.0))
