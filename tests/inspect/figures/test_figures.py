"""Figures are drawn in a journal's width, and their numbers are saved beside them."""

from __future__ import annotations

import struct
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from matplotlib import colormaps
from matplotlib.figure import Figure
from skimage.color import rgb2lab

from qpi_kernels.inspect import figure, fit_dispersion, symmetry_scores
from qpi_kernels.inspect.colours import colour_limits
from qpi_kernels.inspect.figures import style
from qpi_kernels.inspect.figures.kind import (
    FigureError,
    FigureKind,
    FigurePanel,
    known_kinds,
    make_panel,
    register,
    unregister,
)
from shared.results import PITCH_NM, planted_result

STACK = (-0.05, 0.0, 0.05, 0.1)


@pytest.fixture(scope="module")
def single():
    """Return a result of one plane."""
    return planted_result()


@pytest.fixture(scope="module")
def stack():
    """Return a result over bias, whose last plane is explained best."""
    return planted_result(biases=STACK)


def table(path):
    """Read a table as a user would, without its comment lines."""
    return pd.read_csv(path, comment="#")


@pytest.mark.parametrize("kind", ["kernel", "std", "residual", "map"])
def test_the_table_holds_the_array_that_is_drawn(kind, single, tmp_path):
    drawn = figure(kind, single, path=tmp_path / "f.svg")
    shown = drawn.axes[0].images[0].get_array()
    frame = table(tmp_path / "f.csv")
    y, x, values = frame.columns
    assert (y, x) == ("y (nm)", "x (nm)")
    assert values.endswith("(nS)")
    grid = frame.pivot(index=y, columns=x, values=values)
    np.testing.assert_array_equal(grid.to_numpy(np.float32), shown)
    source = single.kernel if kind in ("kernel", "std") else single.residual
    np.testing.assert_array_equal(grid.columns, source["x"])
    left, right, bottom, top = drawn.axes[0].images[0].get_extent()
    assert left == pytest.approx(source["x"].values[0] - PITCH_NM / 2)
    assert right == pytest.approx(source["x"].values[-1] + PITCH_NM / 2)
    assert bottom > top  # rows grow downwards


@pytest.mark.parametrize("kind", ["profile", "fourier_profiles", "residual_spectrum"])
def test_the_table_holds_the_curves_that_are_drawn(kind, single, tmp_path):
    drawn = figure(kind, single, path=tmp_path / "f.pdf")
    line = drawn.axes[0].lines[0]
    frame = table(tmp_path / "f.csv")
    mean = next(name for name in frame.columns if "mean" in name)
    np.testing.assert_allclose(frame[frame.columns[0]], line.get_xdata(), rtol=1e-12)
    np.testing.assert_allclose(frame[mean], line.get_ydata(), rtol=1e-12)


def test_marks_are_drawn_where_the_defects_are(single, tmp_path):
    drawn = figure("map", single, path=tmp_path / "f.png")
    marks = drawn.axes[0].lines[0]
    np.testing.assert_allclose(marks.get_ydata(), PITCH_NM * single.defects.positions[:, 0])
    frame = table(tmp_path / "f_defect.csv")
    np.testing.assert_allclose(frame["defect_x (nm)"], PITCH_NM * single.defects.positions[:, 1])


def test_a_mask_is_shaded_and_left_out_of_the_residual():
    mask = np.ones((40, 48), bool)
    mask[:7, 5:] = False
    result = planted_result(mask=mask)
    shade = figure("map", result).axes[0].images[1].get_array()
    np.testing.assert_array_equal(np.isfinite(shade), ~mask)
    assert "15.7 %" in make_panel("map", result).caption
    np.testing.assert_array_equal(
        np.isfinite(make_panel("residual", result).data["residual"]), mask
    )


def test_the_plane_with_the_clearest_waves_is_shown_unless_one_is_asked_for(stack):
    """Waves longer than the window and pixels with large errors do not count."""
    radius = np.hypot(stack.kernel["y"], stack.kernel["x"])
    long = 20.0 * np.exp(-((radius / 6.0) ** 2))
    error = xr.DataArray([1.0, 1.0, 0.2, 0.4], dims="bias")
    kernel = stack.kernel.copy()
    kernel[0] += long
    chosen = replace(stack, kernel=kernel, std=stack.std * error)
    for bias, index in ((None, 2), (0.0, 1), (-0.04, 0)):
        options = {} if bias is None else {"bias": bias}
        panel = make_panel("kernel", chosen, **options)
        np.testing.assert_array_equal(panel.data["kernel"], kernel[index])
        assert f"{1e3 * STACK[index]:g} mV" in panel.caption
        drawn = Figure().subplots()
        assert panel.plot(drawn).get_title("right") == f"{1e3 * STACK[index]:g} mV"


def test_a_bias_that_is_not_there_is_refused(stack):
    """Millivolts taken for volts are no nearest plane."""
    with pytest.raises(FigureError, match=r"near bias 50 V: there are 4 from -0.05 to 0.1 V"):
        figure("kernel", stack, bias=50)


@pytest.mark.parametrize("kind", ["kernel", "std", "fourier", "profile", "symmetry"])
def test_an_undetermined_kernel_is_pale_and_called_so(kind):
    doubtful = make_panel(kind, planted_result(trust="undetermined"))
    assert "undetermined" in doubtful.caption
    assert "undetermined" in doubtful.title
    pale, plain = Figure().subplots(ncols=2)
    doubtful.plot(pale)
    make_panel(kind, planted_result()).plot(plain)
    assert "undetermined" in pale.get_title("right")
    assert len(pale.patches) + len(pale.artists) == len(plain.patches) + len(plain.artists) + 1
    profiles = make_panel("fourier_profiles", planted_result(trust="undetermined"))
    assert "undetermined" in profiles.caption


def test_symmetry_is_that_beside_the_errors_that_were_drawn():
    result = planted_result()
    errors = np.random.default_rng(0).standard_normal((8, *result.kernel.shape))
    even = (errors + errors[..., ::-1, ::-1]) * 0.01
    draws = xr.concat([result.std.copy(data=one) for one in even], dim="draw")
    scores = symmetry_scores(replace(result, draws=draws))
    assert scores.chance["C2"] == pytest.approx(1.0)
    chance = make_panel("symmetry", replace(result, draws=draws)).data["chance"]
    np.testing.assert_array_equal(chance, list(scores.chance.values()))


def test_kinds_of_defects_have_kernels_of_their_own():
    result = planted_result(kinds=("vacancy", "adatom"))
    for index, kind in enumerate(("vacancy", "adatom")):
        panel = make_panel("kernel", result, kind_of_defect=kind)
        np.testing.assert_array_equal(panel.data["kernel"], result.kernel[index])
        assert kind in panel.caption
    with pytest.raises(FigureError, match="vacancy, adatom"):
        make_panel("kernel", result, kind_of_defect="step")


def test_the_ring_of_a_transform_is_where_its_wave_number_is(single):
    """The ring of cos(q r) / r is at q = 4 + 10 * 0.1 rad/nm, but for its own width."""
    panel = make_panel("fourier", single)
    image = panel.data["fourier"]
    place = np.unravel_index(int(image.values.argmax()), image.shape)
    q = np.hypot(float(image["q_y"][place[0]]), float(image["q_x"][place[1]]))
    assert q == pytest.approx(5.0, abs=0.4)
    assert image["q_x"].attrs["units"] == "rad/nm"


def test_energies_over_q_follow_the_ring(stack):
    data = make_panel("energy_q", stack).data["amplitude"]
    assert data.dims == ("bias", "q")
    found = data["q"].values[data.values.argmax(axis=1)]
    np.testing.assert_allclose(found, 4 + 10 * np.array(STACK), atol=0.8)
    with pytest.raises(FigureError, match="both ends"):
        make_panel("energy_q", stack, start=(0.0, 0.0))
    cut = make_panel("energy_q", stack, start=(0.0, 0.0), stop=(0.0, 7.0)).data["amplitude"]
    found = cut["q"].values[cut.values.argmax(axis=1)]
    np.testing.assert_allclose(found, 4 + 10 * np.array(STACK), atol=0.8)


def test_energies_over_q_and_over_k_have_one_unit(stack):
    """Both are saved as panels of one figure, beside tables whose biases are in V."""
    dispersion = fit_dispersion(stack, method="ring")
    labels, limits = set(), []
    for panel in (make_panel("energy_q", stack), make_panel("dispersion", dispersion)):
        axes = panel.plot(Figure().subplots())
        labels.add(axes.get_ylabel())
        limits.append(axes.get_ylim())
    assert labels == {"bias (V)"}
    np.testing.assert_allclose(limits[0], limits[1], atol=0.6 * np.ptp(STACK))


def test_a_kernel_has_one_profile_in_all_figures(stack):
    """The mean over rings at a bias is the same in E(q) and beside the map's."""
    energies = make_panel("energy_q", stack).data["amplitude"]
    beside = make_panel("fourier_profiles", stack, bias=0.05).data
    np.testing.assert_allclose(energies["q"], beside["q_kernel"], rtol=1e-6)
    np.testing.assert_allclose(energies[2], beside["kernel_mean"], rtol=1e-5)


def test_a_spectrum_is_one_pixel_of_the_kernel(stack):
    panel = make_panel("spectrum", stack, y=0.8, x=-1.2)
    np.testing.assert_array_equal(panel.data["kernel"], stack.kernel[:, 10 + 2, 10 - 3])
    assert "0.8, x = -1.2 nm" in panel.caption


@pytest.mark.parametrize(
    ("width", "inches"), [("single", 86 / 25.4), ("double", 178 / 25.4), (50.8, 2)]
)
def test_figures_have_the_width_of_a_column(width, inches, single):
    assert figure("kernel", single, width=width).get_size_inches()[0] == pytest.approx(inches)


def test_text_stays_text_and_fonts_are_embedded(single, tmp_path):
    figure("kernel", single, path=tmp_path / "k.svg")
    assert ">x (nm)</text>" in (tmp_path / "k.svg").read_text()
    figure("kernel", single, path=tmp_path / "k.pdf")
    pdf = (tmp_path / "k.pdf").read_bytes()
    assert b"/FontFile2" in pdf
    assert b"/Type3" not in pdf
    figure("kernel", single, path=tmp_path / "k.png")
    width = struct.unpack(">I", (tmp_path / "k.png").read_bytes()[16:20])[0]
    assert width == pytest.approx(300 * 86 / 25.4, abs=1)


def test_notes_tell_where_the_numbers_come_from(single, tmp_path):
    figure("kernel", single, path=tmp_path / "k.svg")
    head = [line for line in (tmp_path / "k.csv").read_text().splitlines() if line[0] == "#"]
    notes = dict(line[2:].split(": ", 1) for line in head)
    assert notes["method"] == "least_squares"
    assert notes["trust"] == "uncertain"
    assert notes["observation sha256"] == single.provenance["observation_sha256"]
    assert "nS" in notes["caption"]


def test_a_users_style_does_not_change_figures(single, tmp_path):
    import matplotlib

    figure("kernel", single, path=tmp_path / "one.png")
    with matplotlib.rc_context({"image.cmap": "jet", "font.size": 30, "axes.facecolor": "red"}):
        figure("kernel", single, path=tmp_path / "two.png")
    from skimage.io import imread

    one, two = (imread(tmp_path / f"{name}.png") for name in ("one", "two"))
    np.testing.assert_array_equal(one, two)


def test_colours_are_perceptual():
    """Lightness grows evenly; the diverging one falls to both sides of the middle alike."""
    steps = np.linspace(0, 1, 65)

    def lightness(name):
        """Return CIE L* over a map of colours."""
        return rgb2lab(colormaps[name](steps)[None, :, :3])[0, :, 0]

    sequential = np.diff(lightness(style.SEQUENTIAL))
    assert (sequential > 0).all()
    assert sequential.std() < 0.35 * sequential.mean()
    diverging = lightness(style.DIVERGING)
    assert (np.diff(diverging[:33]) > -0.5).all()
    assert np.abs(diverging - diverging[::-1]).max() < 8


def test_colour_limits_do_not_follow_single_pixels():
    values = np.random.default_rng(1).normal(size=10_000)
    values[:3], values[3] = 1e6, np.nan
    low, high = colour_limits(values, signed=True)
    assert low == -high
    assert 2 < high < 4
    assert colour_limits(np.full(9, np.nan), signed=False) == (0.0, 1.0)
    low, high = colour_limits(np.full(9, 2.0), signed=False)
    assert low < 2 < high


def test_mistakes_are_told(single, tmp_path):
    with pytest.raises(FigureError, match=r"there are .*kernel"):
        figure("kernels", single)
    with pytest.raises(FigureError, match=r"\.pdf, \.svg, \.png"):
        figure("kernel", single, path=tmp_path / "k.bmp")
    with pytest.raises(FigureError, match="no option 'angle'"):
        figure("kernel", single, angle=3)
    with pytest.raises(FigureError, match="not ndarray"):
        figure("kernel", np.zeros((3, 3)))
    with pytest.raises(FigureError, match="over bias"):
        figure("spectrum", single)
    with pytest.raises(FigureError, match="mm wide"):
        figure("kernel", single, width=3.0)
    assert list(tmp_path.iterdir()) == []


def test_a_kind_is_registered_and_found():
    data = xr.Dataset({"count": ("bin", [1, 2])}, coords={"bin": [0, 1]})

    def panel(result, *, times=1):
        """Make a toy panel."""
        return FigurePanel(
            "Toy", "Toys.", times * data, lambda axes, data: axes.plot(data["count"])
        )

    register(FigureKind("toy", "toys", panel))
    try:
        assert "toy" in known_kinds()
        (line,) = figure("toy", None, times=3).axes[0].lines
        np.testing.assert_array_equal(line.get_ydata(), [3, 6])
        with pytest.raises(ValueError, match="already"):
            register(FigureKind("toy", "others", panel))
    finally:
        unregister("toy")
    assert "toy" not in known_kinds()


def test_every_kind_is_drawn_or_says_why_not(stack):
    with pytest.raises(FigureError, match="not checked"):
        figure("residual_around", stack)
    # Some are made of arrays, and of a result they say so.
    kernel = stack.kernel
    made = {"image": kernel, "curves": kernel[0, 10], "cut_stack": kernel[:, 10]}
    for name in set(known_kinds()) - {"residual_around"}:
        assert figure(name, made.get(name, stack)).axes[0].has_data()
