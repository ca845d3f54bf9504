"""`ChannelRows`: which layers are the other channels that steps read."""

from __future__ import annotations

from collections.abc import Mapping

from napari.components import LayerList
from napari.layers import Image, Layer
from qtpy.QtCore import Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QFormLayout, QWidget

from napari_qpi.widgets.common.layer_combo import LayerCombo, is_map

__all__ = ["ChannelRows"]


class ChannelRows(QWidget):
    """A row for each channel that is needed, preset to the layer of the same scan.

    Parameters
    ----------
    layers : LayerList
        The viewer's layers.

    Attributes
    ----------
    changed : Signal()
        Another layer was chosen.
    """

    changed = Signal()

    def __init__(self, layers: LayerList) -> None:
        super().__init__()
        self._layers = layers
        self._image: Image | None = None
        self._combos: dict[str, LayerCombo] = {}
        self._rows = QFormLayout(self)
        self._rows.setContentsMargins(0, 0, 0, 0)
        self._rows.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)

    @property
    def chosen(self) -> dict[str, Image]:
        """The layer of every channel that has one."""
        found = {name: combo.layer for name, combo in self._combos.items()}
        return {name: layer for name, layer in found.items() if isinstance(layer, Image)}

    def combo(self, name: str) -> LayerCombo:
        """Return the choice of one channel."""
        return self._combos[name]

    def show_needed(self, image: Image | None, needed: Mapping[str, Image | None]) -> None:
        """Show rows for these channels of an image; choices made before are kept."""
        if image is not self._image:
            self.disconnect_events()
        self._image = image
        for name in [name for name in self._combos if name not in needed]:
            self._remove(name)
        for name, layer in needed.items():
            if name not in self._combos:
                self._add(name, layer)
        self.setVisible(bool(self._combos))

    def disconnect_events(self) -> None:
        """Remove all rows, and disconnect from the viewer."""
        for name in list(self._combos):
            self._remove(name)

    def _add(self, name: str, layer: Image | None) -> None:
        """Add a row."""
        combo = LayerCombo(self._layers, self._fits, placeholder="none", optional=True)
        if layer is not None:
            combo.layer = layer
        combo.setToolTip(f"<qt>The {name.replace('_', ' ')} of the same scan.</qt>")
        combo.layer_changed.connect(lambda _: self.changed.emit())
        self._combos[name] = combo
        self._rows.addRow(name.replace("_", " ").capitalize(), combo)

    def _remove(self, name: str) -> None:
        combo = self._combos.pop(name)
        combo.disconnect_events()
        self._rows.removeRow(combo)

    def _fits(self, layer: Layer) -> bool:
        """Accept other maps with the pixels of the image."""
        image = self._image
        return (
            image is not None
            and is_map(layer)
            and layer is not image
            and layer.data.shape[-2:] == image.data.shape[-2:]
        )
