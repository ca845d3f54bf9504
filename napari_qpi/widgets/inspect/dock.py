"""`Inspect`: the dock widget that looks at maps and kernels, in real and in momentum space."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import napari
import numpy as np
import xarray as xr
from napari.layers import Image, Labels, Layer
from qtpy.QtWidgets import QComboBox, QFormLayout, QHBoxLayout, QLabel, QTabWidget

from napari_qpi.layers.conversion import LayerConversionError
from napari_qpi.layers.prepared import channel_layers
from napari_qpi.tasks.inspection.inspected import (
    Inspected,
    InspectedKernel,
    InspectedMap,
    extracted_from,
)
from napari_qpi.tasks.inspection.kept_arrays import KeptArrays, same_mask
from napari_qpi.tasks.inspection.state import Inspection
from napari_qpi.widgets.common.dock import Dock
from napari_qpi.widgets.common.layer_combo import MaskCombo, is_map
from napari_qpi.widgets.inspect.energy_slider import EnergySlider
from napari_qpi.widgets.inspect.layer_choices import KernelCombo, MapCombo
from napari_qpi.widgets.inspect.panel import Panel
from napari_qpi.widgets.inspect.panels import PANELS
from napari_qpi.widgets.inspect.ways_out import WaysOut
from qpi_kernels.inspect.axes import nearest_plane

__all__ = ["Inspect"]

_REFRESH_MS = 80


class Inspect(Dock):
    """Shows what maps and kernels hold, one panel a tab, at the bias of the viewer's slider.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        The viewer whose layers are offered.

    Attributes
    ----------
    inspection : Inspection
        What the panels share.
    panels : list of Panel
        In the order of their tabs.
    """

    def __init__(self, napari_viewer: napari.Viewer) -> None:
        super().__init__(napari_viewer)
        self.inspection = Inspection()
        self.panels: list[Panel] = []
        self._followed: list[Layer] = []
        self._kept = KeptArrays()
        self._moving_viewer = False
        self._wrong = ""
        self._refresh_timer = self.delayed(_REFRESH_MS, self._copy_layers)
        self._build()
        self._connect()
        self._copy_layers()

    def _build(self) -> None:
        """Lay out the dock."""
        layers = self.viewer.layers
        self.map_choice = MapCombo(layers)
        self.kernel_choice = KernelCombo(layers, self.map_choice)
        self.mask_choice = MaskCombo(layers, self.map_choice)
        self.mask_choice.setToolTip(
            "<qt>Pixels of the map under these labels or inside these shapes do not count. Of a "
            "prepared map its own mask counts when none is chosen.</qt>"
        )
        rows = QFormLayout()
        rows.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        rows.addRow("Map", self.map_choice)
        rows.addRow("Kernel", self.kernel_choice)
        rows.addRow("Leave out", self.mask_choice)
        self.energy_slider = EnergySlider(self.inspection)
        self.units_choice = QComboBox()
        self.units_choice.addItem("2π/λ", "rad/nm")
        self.units_choice.addItem("1/λ", "1/nm")
        self.units_choice.setToolTip(
            "<qt>Scattering vectors as 2π/λ, the field's wave numbers, or as 1/λ, which other "
            "programs show. Of a band with wave number k, q = 2k.</qt>"
        )
        line = QHBoxLayout()
        line.addWidget(self.energy_slider, 1)
        line.addStretch()
        line.addWidget(self.units_choice)
        self.tabs = QTabWidget()
        self.tabs.setDocumentMode(True)
        for kind in PANELS:
            panel = kind(self.inspection)
            panel.connect_viewer(self.viewer)
            self.panels.append(panel)
            self.tabs.setTabToolTip(self.tabs.addTab(panel, kind.title), f"<qt>{kind.help}</qt>")
        self.ways_out = WaysOut(lambda: self.panels[self.tabs.currentIndex()])
        self.status = QLabel()
        self.status.setWordWrap(True)
        self.status.setVisible(False)
        self.note = QLabel("This kernel was not extracted from this map.")
        self.note.setWordWrap(True)
        self.note.setVisible(False)
        self.column.addLayout(rows)
        self.column.addWidget(self.note)
        self.column.addLayout(line)
        self.column.addWidget(self.tabs, 1)
        self.column.addWidget(self.ways_out)
        self.column.addWidget(self.status)

    def _connect(self) -> None:
        """Connect the widgets with the viewer."""
        for choice in (self.map_choice, self.kernel_choice, self.mask_choice):
            self.when_closed(choice.disconnect_events)
            choice.layer_changed.connect(self._on_layer_chosen)
        for panel in self.panels:
            self.when_closed(panel.disconnect_events)
            panel.status.connect(self._show_status)
        self.tabs.currentChanged.connect(self._show_status)
        self.when_closed(lambda: self._follow(()))
        self.when_closed(self.inspection.transforms.cancel)
        self.follow(self.inspection.data_changed, self.energy_slider.show_state)
        self.follow(self.inspection.bias_changed, self.energy_slider.show_state)
        self.follow(self.inspection.bias_changed, self._move_viewer)
        self.follow(self.viewer.dims.events.current_step, self._on_viewer_moved)
        self.units_choice.currentIndexChanged.connect(self._on_units)

    def panel(self, kind: type[Panel]) -> Panel:
        """Show the panel of a kind in front."""
        found = next(panel for panel in self.panels if isinstance(panel, kind))
        self.tabs.setCurrentWidget(found)
        return found

    def remove_from_viewer(self) -> None:
        """Stop waiting when the dock is closed, and clear what its panels have drawn."""
        self._refresh_timer.stop()
        for panel in self.panels:
            panel.remove_from_viewer()

    def _show_status(self, change: object = None) -> None:
        """Show what the panel in front has said, or what is wrong with the layers."""
        words = self._wrong or self.panels[self.tabs.currentIndex()].said
        self.status.setText(words)
        self.status.setVisible(bool(words))

    # -- the arrays ---------------------------------------------------------------------------

    def _on_layer_chosen(self, layer: object = None) -> None:
        """Wait until the other choices have followed."""
        self._refresh_timer.start()

    def _on_numbers(self, event: Any) -> None:
        """Take the arrays of a layer anew that may have changed in their place."""
        self._kept.forget(event.source)
        self._refresh_timer.start()

    def _copy_layers(self) -> None:
        """Take the arrays of the chosen layers; those of removed layers stay while they belong."""
        image, kernel = self.map_choice.layer, self.kernel_choice.layer
        data, inspection = self.inspection.data, self.inspection
        try:
            if kernel is not None or not self.kernel_choice.removed:
                data = replace(data, kernel=self._kernel_of(kernel))
            elif image is not None and not _belongs(data, image, removed=True):
                data = replace(data, kernel=InspectedKernel())
                self.kernel_choice.forget_removed()
            if image is not None or not self.map_choice.removed:
                data = replace(data, map=self._map_of(image, data.kernel))
        except LayerConversionError as error:
            self._wrong = str(error)
            self._show_status()
            return
        self._wrong = ""
        inspection.map_layer, inspection.kernel_layer = image, kernel
        self._follow(
            layer for layer in (image, kernel, self.mask_choice.layer) if layer is not None
        )
        self.note.setVisible(image is not None and not _belongs(data, image))
        inspection.data = data
        self._on_viewer_moved()

    def _kernel_of(self, layer: Image | None) -> InspectedKernel:
        """Take the kernel and its errors; what has not changed stays the same object."""
        if layer is None:
            return InspectedKernel()
        found, before = InspectedKernel.of_layer(layer), self.inspection.data.kernel
        return replace(
            found,
            image=self._kept_array("kernel", layer, found.image),
            std=self._kept_array("std", layer, found.std),
            residual_mask=same_mask(found.residual_mask, before.residual_mask),
        )

    def _map_of(self, layer: Image | None, kernel: InspectedKernel) -> InspectedMap:
        """Take the map with its mask; without one what the kernel was made from."""
        before = self.inspection.data
        if layer is None:
            if before.map.of_result and before.kernel.result is kernel.result:
                return before.map
            return InspectedMap.of_kernel(kernel)
        surface = channel_layers(layer, filter(is_map, self.viewer.layers)).get("topography")
        found = InspectedMap.of_layer(layer, self.mask_choice.layer, surface)
        return replace(
            found,
            image=self._kept_array("map", layer, found.image),
            topograph=self._kept_array("topograph", surface, found.topograph),
            mask=same_mask(found.mask, before.map.mask),
        )

    def _kept_array(
        self, role: str, layer: Image | None, array: xr.DataArray | None
    ) -> xr.DataArray | None:
        """Return the array that was taken from a layer before, while it holds the same numbers."""
        return array if layer is None or array is None else self._kept.keep(role, layer, array)

    def _follow(self, layers: Iterable[Layer]) -> None:
        """Notice when the numbers of layers change."""
        for layer in self._followed:
            for emitter in _number_events(layer):
                emitter.disconnect(self._on_numbers)
        self._followed = list(layers)
        for layer in self._followed:
            for emitter in _number_events(layer):
                emitter.connect(self._on_numbers)

    # -- the bias -----------------------------------------------------------------------------

    def _linked(self) -> tuple[Image, np.ndarray] | None:
        """Return the layer whose planes the viewer's slider chooses, and their biases."""
        inspection = self.inspection
        pairs = (
            (inspection.map_layer, inspection.data.map.image),
            (inspection.kernel_layer, inspection.data.kernel.image),
        )
        for layer, array in pairs:
            shown = layer is not None and layer in self.viewer.layers
            if shown and array is not None and "bias" in array.dims:
                biases = np.asarray(array["bias"].values, float)
                # Results are shown with rising bias whatever their order.
                return layer, biases if layer is inspection.map_layer else np.sort(biases)
        return None

    def _on_viewer_moved(self, event: object = None) -> None:
        """Follow the viewer's slider."""
        linked = self._linked()
        if linked is None or self._moving_viewer:
            return
        layer, biases = linked
        place = layer.world_to_data(self.viewer.dims.point[-layer.ndim :])[-3]
        self.inspection.bias = float(biases[int(np.clip(round(float(place)), 0, len(biases) - 1))])

    def _move_viewer(self) -> None:
        """Move the viewer's slider to the bias of the inspection."""
        linked, bias = self._linked(), self.inspection.bias
        if linked is None or bias is None:
            return
        layer, biases = linked
        index = nearest_plane(biases, bias)
        world = float(layer.data_to_world((float(index), 0.0, 0.0))[-3])
        self._moving_viewer = True
        try:
            self.viewer.dims.set_point(self.viewer.dims.ndim - 3, world)
        finally:
            self._moving_viewer = False

    def _on_units(self) -> None:
        self.inspection.units = self.units_choice.currentData()


def _belongs(data: Inspected, image: Image, *, removed: bool = False) -> bool:
    """Return whether the kernel may be of a map.

    One without a result may be of any, but goes with its map if its layer was removed.
    """
    if data.kernel.result is None:
        return not removed or data.map.name == image.name
    return extracted_from(data.kernel.result, image)


def _number_events(layer: Layer) -> list[Any]:
    """List what a layer emits when its numbers change."""
    events = layer.events
    return [events.data, events.paint] if isinstance(layer, Labels) else [events.data]
