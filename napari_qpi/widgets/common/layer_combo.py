"""`LayerCombo`: a combo box of layers that follows the viewer and knows layers by identity."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from typing import Any

from napari.components import LayerList
from napari.layers import Image, Labels, Layer, Shapes
from qtpy.QtCore import Qt, Signal  # type: ignore[attr-defined]
from qtpy.QtGui import QPaintEvent
from qtpy.QtWidgets import QComboBox, QStyle, QStyleOptionComboBox, QStylePainter, QWidget

from napari_qpi.layers.belonging import defects_of, made_for, mask_of
from napari_qpi.layers.conversion import is_observation
from napari_qpi.layers.defect_points import is_defect_layer

__all__ = [
    "NO_MAP",
    "DefectsCombo",
    "LayerCombo",
    "MaskCombo",
    "SourceCombo",
    "can_exclude",
    "is_map",
    "is_temporary",
]

_TEXT_MARGIN = 8

NO_MAP = "open a map or a bias stack first (no colour picture)"


def is_map(layer: Layer) -> bool:
    """Return whether a layer is a single-channel ``(y, x)`` or ``(bias, y, x)`` image."""
    return (
        isinstance(layer, Image)
        and not layer.rgb
        and not layer.multiscale
        and layer.ndim in (2, 3)
        and not is_temporary(layer)
    )


def can_exclude(layer: Layer) -> bool:
    """Return whether a layer can mark pixels that do not count."""
    return isinstance(layer, Labels | Shapes) and not is_temporary(layer)


def is_temporary(layer: Layer) -> bool:
    """Return whether a layer belongs to an open panel (a preview, the kernel window)."""
    return bool(layer.metadata.get("napari_qpi", {}).get("temporary"))


class LayerCombo(QComboBox):
    """Offer the layers of a viewer that can be used for one purpose.

    A layer that the user chose stays chosen while it is there. Until then the choice follows the
    observations that are opened; what an extraction made is the default only without another.

    Parameters
    ----------
    layers : LayerList
        The viewer's layers.
    accepts : callable
        Tells which layers are offered.
    placeholder : str
        Text of the entry that stands for no layer.
    optional : bool
        Offer "no layer" even when there are layers, and take none by default.

    Attributes
    ----------
    layer_changed : Signal(object)
        The newly chosen layer, or None.
    """

    layer_changed = Signal(object)

    def __init__(
        self,
        layers: LayerList,
        accepts: Callable[[Layer], bool],
        *,
        placeholder: str,
        optional: bool = False,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._layers = layers
        self._accepts = accepts
        self._placeholder = placeholder
        self._optional = optional
        self._offered: list[Layer] = []
        self._chosen: Layer | None = None
        self._by_hand = False
        self._help = ""
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setMinimumContentsLength(12)
        for emitter, slot in self._list_emitters():
            emitter.connect(slot)
        self.activated.connect(self._on_activated)
        self._refresh()

    def setToolTip(self, text: str | None) -> None:  # noqa: N802 - Qt's name
        """Explain the choice; the full name of the chosen layer stands above."""
        self._help = text or ""
        self._show_tooltip()

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: N802 - Qt's name
        """Cut a long name in its middle: the file's name begins alike, the channel comes last."""
        painter, option = QStylePainter(self), QStyleOptionComboBox()
        self.initStyleOption(option)
        style = self.style()
        assert style is not None
        field = style.subControlRect(
            QStyle.ComplexControl.CC_ComboBox, option, QStyle.SubControl.SC_ComboBoxEditField, self
        )
        room = field.width() - _TEXT_MARGIN
        name = option.fontMetrics.elidedText(option.currentText, Qt.TextElideMode.ElideMiddle, room)
        option.currentText = name
        painter.drawComplexControl(QStyle.ComplexControl.CC_ComboBox, option)
        painter.drawControl(QStyle.ControlElement.CE_ComboBoxLabel, option)

    def _show_tooltip(self) -> None:
        name = "" if self._chosen is None else escape(self._chosen.name)
        words = self._help.removeprefix("<qt>").removesuffix("</qt>")
        text = "<br>".join(filter(None, (name, words)))
        super().setToolTip(f"<qt>{text}</qt>" if text else "")

    @property
    def layer(self) -> Layer | None:
        """The chosen layer."""
        return self._chosen

    @layer.setter
    def layer(self, layer: Layer | None) -> None:
        if layer is not None and layer not in self._offered:
            raise ValueError(f"{layer.name!r} can not be chosen here")
        self._by_hand = True
        self._choose(layer)

    def choose_default(self) -> None:
        """Choose anew, as if nothing had been chosen."""
        self._by_hand = False
        self._list(None)

    def disconnect_events(self) -> None:
        """Disconnect from the viewer."""
        for emitter, slot in self._list_emitters():
            emitter.disconnect(slot)
        for layer in self._offered:
            layer.events.name.disconnect(self._refresh)
        self._offered = []

    def _list_emitters(self) -> tuple[tuple[Any, Callable[..., None]], ...]:
        events = self._layers.events
        return (
            (events.inserted, self._on_inserted),
            (events.removed, self._refresh),
            (events.reordered, self._refresh),
        )

    def _refresh(self, event: object = None) -> None:
        """List the layers anew and keep the choice where it still exists."""
        self._list(self._chosen)

    def _on_inserted(self, event: Any) -> None:
        """List the layers anew; a new observation replaces a choice that the user did not make."""
        self._list(event.value if self._gives_way_to(event.value) else self._chosen)

    def _gives_way_to(self, layer: Layer) -> bool:
        """Decide whether a new layer becomes the choice: of a file's channels the visible ones."""
        chosen = self._chosen
        if chosen is None or self._by_hand or not self._accepts(layer) or not is_observation(layer):
            return False
        return layer.visible or not chosen.visible or not is_observation(chosen)

    def _list(self, wanted: Layer | None) -> None:
        """List the layers anew and choose the wanted one, else the default."""
        offered = [layer for layer in reversed(self._layers) if self._accepts(layer)]
        for layer in self._offered:
            if layer not in offered:
                layer.events.name.disconnect(self._refresh)
        for layer in offered:
            if layer not in self._offered:
                layer.events.name.connect(self._refresh)
        self._offered = offered
        declined = wanted is None and self._optional and self._by_hand
        chosen = wanted if wanted in offered or declined else self._default(offered)
        self._by_hand = self._by_hand and chosen is self._chosen
        blocked = self.blockSignals(True)
        self.clear()
        if self._optional or chosen is None:
            self.addItem(self._placeholder, None)
        for layer in offered:
            self.addItem(layer.name)
        self.blockSignals(blocked)
        self._choose(chosen)

    def _default(self, offered: list[Layer]) -> Layer | None:
        """Choose where the user has not: a visible observation, the active one or the topmost."""
        if self._optional or not offered:
            return None
        usable = [layer for layer in offered if is_observation(layer)] or offered
        usable = [layer for layer in usable if layer.visible] or usable
        active = self._layers.selection.active
        return active if active in usable else usable[0]

    def _first_row(self) -> int:
        return self.count() - len(self._offered)

    def _choose(self, layer: Layer | None) -> None:
        row = 0 if layer is None else self._first_row() + self._offered.index(layer)
        self.setCurrentIndex(row)
        changed, self._chosen = layer is not self._chosen, layer
        self._show_tooltip()
        if changed:
            self.layer_changed.emit(layer)

    def _on_activated(self, row: int) -> None:
        place = row - self._first_row()
        self._by_hand = True
        self._choose(self._offered[place] if place >= 0 else None)


class DefectsCombo(LayerCombo):
    """Offer layers of defects; another image brings the layer that belongs to it.

    Parameters
    ----------
    layers : LayerList
        The viewer's layers.
    image_choice : LayerCombo
        Chooses the image.
    placeholder : str
        Text of the entry that stands for no layer.
    """

    def __init__(
        self,
        layers: LayerList,
        image_choice: LayerCombo,
        *,
        placeholder: str,
        parent: QWidget | None = None,
    ) -> None:
        self._image_choice = image_choice
        super().__init__(layers, is_defect_layer, placeholder=placeholder, parent=parent)
        image_choice.layer_changed.connect(lambda _: self.choose_default())

    def _gives_way_to(self, layer: Layer) -> bool:
        """Keep the defects of the image when others are opened; its own replace borrowed ones."""
        image, chosen = self._image_choice.layer, self._chosen
        if image is None or chosen is None or self._by_hand or not self._accepts(layer):
            return False
        return made_for(layer, image) and not made_for(chosen, image)

    def _default(self, offered: list[Layer]) -> Layer | None:
        image = self._image_choice.layer
        if image is None:
            return super()._default(offered)
        images = [layer for layer in self._layers if is_map(layer)]
        active = self._layers.selection.active
        return defects_of(image, sorted(offered, key=lambda each: each is not active), images)


class SourceCombo(LayerCombo):
    """Offer maps to prepare; what was made of the one chosen does not take its place."""

    def _gives_way_to(self, layer: Layer) -> bool:
        """Keep the choice when its prepared image appears."""
        prepared = layer.metadata.get("napari_qpi", {}).get("role") == "prepared"
        return not prepared and super()._gives_way_to(layer)


class MaskCombo(LayerCombo):
    """Offer layers that mark pixels to leave out; another image brings the layer made for it.

    Parameters
    ----------
    layers, image_choice
        As for `DefectsCombo`.
    """

    def __init__(
        self, layers: LayerList, image_choice: LayerCombo, parent: QWidget | None = None
    ) -> None:
        self._image_choice = image_choice
        self._brought: Layer | None = None
        super().__init__(layers, can_exclude, placeholder="nothing", optional=True, parent=parent)
        image_choice.layer_changed.connect(lambda _: self._refresh())

    def _list(self, wanted: Layer | None) -> None:
        """List the layers anew, and choose the one that was made for the image once it is there."""
        image = self._image_choice.layer
        own = None if image is None else mask_of(image, filter(self._accepts, self._layers))
        left = self._chosen is not None and self._chosen is self._brought
        bring = own is not self._brought and (own is not None or left)
        self._brought = own
        self._by_hand = self._by_hand and not bring
        super()._list(None if bring else wanted)

    def _default(self, offered: list[Layer]) -> Layer | None:
        return self._brought
