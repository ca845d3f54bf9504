"""The fitted background: offsets, polynomials, rows and terraces, of the pixels that count."""

from typing import Any

import numpy as np
import pytest
import torch

from qpi_kernels.background import Background, BackgroundKind

SHAPE = (9, 12)
KINDS: tuple[BackgroundKind, ...] = (
    *("none", "offset", "plane", "quadratic", "rows", "rows+quadratic"),
)


def polynomials(*powers: tuple[int, int]) -> Any:
    """Powers of row and column, one function a line."""
    row, column = np.indices(SHAPE).reshape(2, -1).astype(float)
    return np.array([row**i * column**j for i, j in powers]).reshape(len(powers), row.size)


def expected_functions(kind: str, lines: Any, terraces: Any) -> Any:
    offsets = np.eye(lines.max() + 1)[lines.ravel()].T
    smooth = {
        "none": polynomials(),
        "offset": polynomials((0, 0)),
        "plane": polynomials((0, 0), (1, 0), (0, 1)),
        "quadratic": polynomials((0, 0), (1, 0), (0, 1), (2, 0), (1, 1), (0, 2)),
        "rows": np.vstack([offsets, polynomials((0, 1))]),
        "rows+quadratic": np.vstack([offsets, polynomials((0, 1), (1, 1), (0, 2))]),
    }[kind]
    if kind == "none":
        return smooth
    steps = [(terraces == label).ravel() for label in range(1, terraces.max() + 1)]
    return np.vstack([smooth, *steps])


def check(kind: BackgroundKind, device: str, lines: Any = None, terraces: Any = None) -> None:
    """Compare with the least-squares fit of explicit functions to the counted pixels."""
    rng = np.random.default_rng(0)
    mask = torch.from_numpy(rng.random(SHAPE) > 0.3)
    image = torch.from_numpy(rng.normal(size=(2, *SHAPE)))
    rows = np.indices(SHAPE)[0] if lines is None else lines
    no_steps = np.zeros(SHAPE, int)
    functions = expected_functions(kind, rows, no_steps if terraces is None else terraces)
    if lines is not None:
        turned = [(1, 0)] if kind == "rows" else [(1, 0), (2, 0)]
        functions = np.vstack([functions, polynomials(*turned)])
    counted = mask.numpy().ravel()
    values = image.numpy().reshape(2, -1)
    fit = np.linalg.lstsq(functions[:, counted].T, values[:, counted].T, rcond=None)
    expected = np.where(counted, values - fit[0].T @ functions, 0.0).reshape(image.shape)
    background = Background(
        kind,
        mask.to(device),
        torch.float64,
        terraces=None if terraces is None else torch.from_numpy(terraces),
        lines=None if lines is None else torch.from_numpy(lines),
    )
    on_device = image.to(device)
    removed = background.remove(on_device).cpu()
    np.testing.assert_allclose(removed.numpy(), expected, atol=1e-9)
    assert background.parameters == fit[2]
    short = background.remove_rows(on_device)
    fitted = torch.einsum("vyx,fyx->vf", short, background.functions)
    short = short - torch.einsum("vf,fyx->vyx", fitted, background.functions)
    np.testing.assert_allclose(short.cpu().numpy(), expected, atol=1e-9)
    whole = image - background.fit(on_device).cpu()
    np.testing.assert_allclose(whole.numpy()[:, mask.numpy()], expected[:, mask.numpy()], atol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_the_removed_background_is_that_of_the_counted_pixels(
    kind: BackgroundKind, device: str
) -> None:
    check(kind, device)


@pytest.mark.parametrize("kind", KINDS)
def test_terraces_have_an_offset_each(kind: BackgroundKind, device: str) -> None:
    row, column = np.indices(SHAPE)
    terraces = 1 + (row + column > 7) + (row + column > 13)
    check(kind, device, terraces=np.where(row + column == 8, 0, terraces))


def test_scan_lines_that_are_not_the_rows(device: str) -> None:
    row, column = np.indices(SHAPE)
    check("rows", device, lines=(row + column // 3).astype(np.int64))
    check("rows+quadratic", device, lines=np.ascontiguousarray(column.astype(np.int64)))


def test_sums_over_scan_lines_have_a_fixed_order_on_every_device(pretended: str) -> None:
    """The way of other devices gives the CPU's sums, of lines of unlike lengths."""
    row, column = np.indices(SHAPE)
    lines = torch.from_numpy(((row + column // 2) * 2 // 2 + (row > 4)).astype(np.int64))
    mask = torch.from_numpy(np.random.default_rng(1).random(SHAPE) > 0.2)
    image = torch.from_numpy(np.random.default_rng(2).normal(size=(3, *SHAPE)))
    here = Background("rows", mask, lines=lines).remove(image)
    there = Background("rows", mask.to(pretended), lines=lines).remove(image.to(pretended))
    torch.testing.assert_close(there.cpu(), here, rtol=0, atol=1e-13)


@pytest.mark.parametrize("kind", ["offset", "plane", "rows"])
def test_the_level_of_a_terrace_holds_for_its_pixels_that_do_not_count(
    kind: BackgroundKind, device: str
) -> None:
    row, column = np.indices(SHAPE)
    terraces = 1 + (row + column > 9)
    image = torch.from_numpy(3.0 + 5.0 * (terraces == 2)).to(device)
    mask = np.ones(SHAPE, bool)
    mask[2:4, 8:11] = mask[5:7, 1:3] = False
    background = Background(
        kind, torch.from_numpy(mask).to(device), torch.float64, terraces=torch.from_numpy(terraces)
    )
    torch.testing.assert_close(background.fit(image[None])[0], image)
