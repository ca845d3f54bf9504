"""A report is one file that says everything, whatever is in the result."""

from __future__ import annotations

import base64
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from qpi_kernels import open_scan
from qpi_kernels.inspect import Report
from qpi_kernels.inspect.figures.kind import FigureError
from qpi_kernels.inspect.report.contents import Table
from qpi_kernels.inspect.report.html_page import table_html
from qpi_kernels.inspect.report.raw_map import find_raw_map
from qpi_kernels.io.array_records import hash_planes
from qpi_kernels.io.formats.netcdf import save_scan
from qpi_kernels.predictive_score import PredictiveScore
from qpi_kernels.progress import Cancelled, CancelToken
from shared.results import planted_result

VOID = {"meta", "link", "img", "br"}


class Outline(HTMLParser):
    """Collect tags, texts and addresses of a page; check that every tag is closed."""

    def __init__(self, page):
        super().__init__()
        self.open, self.tags, self.addresses, self.texts, self.ids = [], [], [], [], set()
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        known = dict(attrs)
        self.tags.append((tag, known))
        self.addresses += [known[name] for name in ("src", "href") if name in known]
        self.ids |= {known["id"]} if "id" in known else set()
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not self.open or self.open[-1] not in ("script", "style"):
            self.texts.append(data)

    @property
    def text(self):
        """Return what a reader sees."""
        return " ".join(" ".join(self.texts).split())


@pytest.fixture(scope="module")
def stack_page():
    """Return the page of a stack, and its result."""
    result = planted_result(biases=(0.0, 0.05, 0.1, 0.15))
    return Report(result, title="Rings & more").html(), result


def test_a_page_needs_nothing_else(stack_page):
    page, _ = stack_page
    outline = Outline(page)
    assert not re.search(r"https?://(?!www\.w3\.org)", page)
    for address in outline.addresses:
        assert address.startswith(("data:", "#"))
        if address.startswith("#"):
            assert address[1:] in outline.ids
    svg = [one for one in outline.addresses if one.startswith("data:image/svg")]
    assert len(svg) >= 9
    for one in svg:
        drawn = base64.b64decode(one.split(",", 1)[1]).decode()
        assert "<svg" in drawn
        assert not re.search(r'(href|src)="(?!#|data:)', drawn)


def test_a_page_says_what_is_in_it(stack_page):
    page, result = stack_page
    outline = Outline(page)
    for heading in ("Kernel", "Scattering vectors", "Residual", "Symmetry", "Dispersion"):
        assert heading in outline.text
    assert "Uncertain." in outline.text
    assert "the result does not name a file" in outline.text
    assert "qk.extract(" in outline.text
    assert result.provenance["observation_sha256"] in outline.text
    pictures = [known for tag, known in outline.tags if tag == "img"]
    assert all(len(known["alt"]) > 40 for known in pictures)
    assert [tag for tag, _ in outline.tags].count("h1") == 1
    assert ("html", {"lang": "en"}) in outline.tags
    assert all(known.get("scope") == "col" for tag, known in outline.tags if tag == "th")


def test_everything_is_escaped(stack_page):
    page, _ = stack_page
    assert "<b>bold</b>" not in page
    assert "A &lt;b&gt;bold&lt;/b&gt; &amp; strange reason." in page
    assert "<title>Rings &amp; more</title>" in page


def test_every_kind_of_a_stack_has_its_dispersion():
    result = planted_result(biases=(0.0, 0.1, 0.2), kinds=("vacancy", "adatom"))
    sections = {part.title: part for part in Report(result).contents().sections}
    for index, kind in enumerate(("vacancy", "adatom")):
        part = sections[f"Dispersion of {kind}"]
        assert part.panels[0].title == "E(q) of the kernel"
        (wave, *_) = [table for table in part.tables if table.heads[0] == "bias (V)"]
        assert [row[0] for row in wave.rows] == ["0", "0.1", "0.2"]
        # The kernels differ by a factor: so do the figures, and no wave number.
        ratio = (
            part.panels[0].data["amplitude"]
            / sections["Dispersion of vacancy"].panels[0].data["amplitude"]
        )
        np.testing.assert_allclose(ratio, 1 + index, rtol=1e-4)


def test_small_tables_go_with_their_figures(stack_page):
    page, _ = stack_page
    packed = re.findall(r'href="data:text/csv[^,]*,([^"]+)"', page)
    texts = [base64.b64decode(one).decode() for one in packed]
    assert any("q_kernel (rad/nm)" in text for text in texts)
    assert all(text.startswith("# figure: ") for text in texts)


def test_a_score_by_prediction_is_told():
    result = planted_result()
    score = PredictiveScore(
        r_squared=0.8125, r_squared_error=0.01, log_likelihood=-1.0, log_likelihood_error=0.1,
        within_1_sigma=0.69, within_2_sigma=0.95, left_out="blocks", blocks=9, block_px=8, folds=3,
        pixels=500,
    )  # fmt: skip
    quality = result.quality.model_copy(update={"prediction": score})
    for one, told in ((replace(result, quality=quality), True), (result, False)):
        sections = {section.title: section for section in Report(one).contents().sections}
        assert ("Prediction of left-out pixels" in sections) is told
        if told:
            (table,) = sections["Prediction of left-out pixels"].tables
            assert ("R squared of left-out pixels", "0.812 ± 0.01") in table.rows


def test_the_pdf_has_the_same_contents(tmp_path):
    result = planted_result(kinds=("vacancy", "adatom"))
    path = Report(result).save(tmp_path / "r.pdf")
    data = path.read_bytes()
    assert data.startswith(b"%PDF")
    assert data.count(b"/Type /Page ") >= 4
    assert b"/Type3" not in data
    assert list(tmp_path.iterdir()) == [path]


def test_a_cancelled_report_leaves_nothing(tmp_path):
    token = CancelToken()
    messages = []

    def stop(event):
        """Cancel once the first figure is drawn."""
        messages.append(event.message)
        if event.message.startswith("Drawing"):
            token.cancel()

    with pytest.raises(Cancelled):
        Report(planted_result()).save(tmp_path / "r.html", on_event=stop, cancel=token)
    assert messages[0] == "Report: verdict"
    assert list(tmp_path.iterdir()) == []


def test_other_extensions_are_refused(tmp_path):
    with pytest.raises(FigureError, match=r"\.html or \.pdf"):
        Report(planted_result()).save(tmp_path / "r.docx")


def test_the_raw_map_is_shown_only_if_its_numbers_are_those(tmp_path):
    result = planted_result(biases=(0.0, 0.05))
    observation = (result.reconstruction + result.residual).astype(np.float32)
    scan = observation.assign_attrs(units="nS").to_dataset(name="didv")
    path = save_scan(scan.assign_attrs(format="simulation"), tmp_path / "scan.nc")
    known = {**result.provenance, "file": str(path),
             "observation_sha256": hash_planes(open_scan(path)["didv"])}  # fmt: skip
    named = replace(result, provenance=known)
    raw = find_raw_map(named)
    np.testing.assert_array_equal(raw.image, observation)
    assert "bit for bit" in raw.sentence
    panels = [panel for part in Report(named).contents().sections for panel in part.panels]
    assert "Raw map" in [panel.title for panel in panels]
    save_scan(scan + 1e-3, path)
    assert find_raw_map(named).image is None
    assert "does not give the numbers" in find_raw_map(named).sentence
    path.unlink()
    assert "not there" in find_raw_map(named).sentence


def test_cells_sort_by_their_numbers():
    row = ("10.87 ± 1.4", "> 9.5", "-0.02 %", "1e-05", "- 3", "2 <planes>")
    written = table_html(Table("Numbers", tuple("abcdef"), (row,)), sortable=True)
    assert re.findall(r'data-key="([^"]*)"', written) == ["10.87", "9.5", "-0.02", "1e-05"]
    assert "<td>- 3</td><td>2 &lt;planes&gt;</td>" in written
