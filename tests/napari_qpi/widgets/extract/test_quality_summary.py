"""The card that says how far a kernel can be trusted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from pytestqt.qtbot import QtBot
from qtpy.QtCore import Qt

from napari_qpi.widgets.extract.quality_summary import QualitySummary, quality_rows
from qpi_kernels.quality import Reason, ResidualChecks
from qpi_kernels.result import KernelResult

if TYPE_CHECKING:
    pass


def test_the_card_shows_trust_reasons_and_more(
    qtbot: QtBot, make_result: Callable[..., KernelResult]
) -> None:
    quality = make_result().quality
    scores = {"a: C2": 0.5, "b: C2": 0.9, "b: C3": 0.1}
    rows = {row[0]: row[1] for row in quality_rows(quality, "nm")}
    assert rows["Noise"] == "1 nm"
    scored = quality.model_copy(update={"symmetry_scores": scores})
    rows = {row[0]: row[1] for row in quality_rows(scored, "")}
    assert rows["Symmetry b"].split() == ["C2", "0.90", "C3", "0.10"]
    checks = ResidualChecks(explained={"drift": 60, "shear": 4}, usual={"drift": 30, "shear": 20})
    tested = quality.model_copy(update={"checks": checks})
    model = next(row for row in quality_rows(tested, "") if row[0] == "Model test")
    assert model[1] == "2"
    assert "drift" in model[2]
    card = QualitySummary()
    qtbot.addWidget(card)
    assert card.isHidden()
    reasons = [
        Reason(code="unseen", number=0.2, trust="uncertain"),
        Reason(code="large_error", number=0.7, trust="uncertain"),
        Reason(code="residual_structure", number=2.0, trust="uncertain"),
        Reason(code="duplicates", number=3),
    ]
    for trust in ("good", "uncertain", "undetermined"):
        changes = {"trust": trust, "reasons": [] if trust == "good" else reasons}
        card.show_result(replace(make_result(), quality=quality.model_copy(update=changes)))
        text = card.summary.text()
        assert f"&nbsp;{trust.capitalize()}&nbsp;" in text
        assert text.count("<p>") == (1 if trust == "good" else 4)
        assert not card.isHidden()
    assert "one pixel of each other: 3" not in card.summary.text()
    assert "Undetermined:" not in card.summary.text()
    assert card.details.isHidden()
    assert card.more_button.text() == "More"
    card.more_button.click()
    assert not card.details.isHidden()
    assert card.more_button.text() == "Less"
    assert card.more_button.arrowType() == Qt.ArrowType.DownArrow
    assert "one pixel of each other: 3" in card.details.text()
    card.clear()
    assert card.isHidden()
    assert card.summary.text() == card.details.text() == ""
