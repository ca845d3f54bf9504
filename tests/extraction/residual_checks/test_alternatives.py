"""Alternatives where there is little to test, and where marks are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from qpi_kernels import Defects
from qpi_kernels.extraction.residual_checks import second_kind
from qpi_kernels.extraction.residual_checks.marked_residual import MarkedResidual
from qpi_kernels.extraction.residual_checks.multiple_scattering import FreeWave, scattered_chi2
from qpi_kernels.extraction.residual_checks.scan_order import change_patterns
from qpi_kernels.extraction.residual_checks.unmarked_defects import UnmarkedDefects
from shared.faulty_maps import faulty, sum_of_kernels


@pytest.fixture(scope="module")
def residual() -> MarkedResidual:
    found = MarkedResidual.of(sum_of_kernels(faulty("unmarked_defects", 3)))
    assert found is not None
    return found


@pytest.mark.parametrize("level", [0.0, 0.3])
def test_a_level_kernel_is_no_ring(level: float) -> None:
    assert FreeWave.fit(np.full((32, 32), level)) is None


@pytest.mark.parametrize("strong", [0, 1])
def test_scattering_needs_two_marks_of_some_strength(residual: MarkedResidual, strong: int) -> None:
    patterns = change_patterns(residual)
    assert scattered_chi2(residual, patterns) is not None
    strength = (np.arange(len(residual.defects)) < strong).astype(float)
    weak = replace(residual, defects=residual.defects.with_strength(strength))
    assert scattered_chi2(weak, patterns) is None


def test_no_defect_is_unmarked_within_three_pixels_of_a_mark(residual: MarkedResidual) -> None:
    found = UnmarkedDefects.search(residual, residual.white)
    assert found.found > 0
    rows, columns = (np.arange(0.4, side, 4.0) for side in residual.shape)
    grid = np.stack(np.meshgrid(rows, columns, indexing="ij"), -1).reshape(-1, 2)
    covered = replace(residual, defects=Defects(np.concatenate([residual.defects.positions, grid])))
    assert UnmarkedDefects.search(covered, residual.white).found == 0
    beyond = Defects(np.concatenate([residual.defects.positions, [[-2.0, -2.0], [500.0, 3.0]]]))
    assert UnmarkedDefects.search(replace(residual, defects=beyond), residual.white) == found


def test_many_marks_have_the_first_component_of_few(
    residual: MarkedResidual, monkeypatch: pytest.MonkeyPatch
) -> None:
    (exact,) = second_kind.PatchComponent.clearest(residual, residual.white)
    monkeypatch.setattr(second_kind, "_MAX_DENSE", 4)
    (iterated,) = second_kind.PatchComponent.clearest(residual, residual.white)
    assert exact is not None
    assert iterated is not None
    assert iterated.chi2 == pytest.approx(exact.chi2, rel=1e-3)
    assert iterated.apart == pytest.approx(exact.apart, rel=1e-2)
