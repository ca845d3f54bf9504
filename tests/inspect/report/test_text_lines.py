"""Lines of a report stay within their column."""

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from qpi_kernels.inspect.report.text_lines import wrapped_lines

TEXTS = {
    "capitals": "WWWWWWWW MMMMMMMM " * 20,
    "narrow": "illicit lilt illiilli " * 30,
    "one long word": "/a/folder/WITH/A/VERY/LONG/NAME" * 9,
}


@pytest.mark.parametrize("weight", ["normal", "bold"])
@pytest.mark.parametrize("name", TEXTS)
def test_no_line_is_wider_than_its_column(name, weight):
    lines = wrapped_lines(TEXTS[name], 8.0, 60.0, weight=weight)
    page = Figure(dpi=300)
    renderer = FigureCanvasAgg(page).get_renderer()
    widths = [
        page.text(0, 0, line, size=8.0, weight=weight, family="DejaVu Sans")
        .get_window_extent(renderer)
        .width
        / 300
        * 25.4
        for line in lines
    ]
    assert max(widths) <= 60.5
    assert max(widths) > 40.0  # and the column is used
    assert "".join(lines).replace(" ", "") == TEXTS[name].replace(" ", "")
