"""Combo boxes of the Inspect dock: what they showed stays when its layer leaves the viewer."""

from __future__ import annotations

from collections.abc import Callable

from napari.components import LayerList
from napari.layers import Image, Layer

from napari_qpi.layers.conversion import is_observation, result_of
from napari_qpi.tasks.inspection.inspected import extracted_from, is_kernel_layer
from napari_qpi.widgets.common.layer_combo import NO_MAP, LayerCombo, is_map

__all__ = ["KernelCombo", "MapCombo"]

_GONE = "removed: {name}"


class _KeptCombo(LayerCombo):
    """Choose no other layer in place of one that was removed, until a new one is opened."""

    def __init__(
        self, layers: LayerList, accepts: Callable[[Layer], bool], *, placeholder: str
    ) -> None:
        self._empty = placeholder
        self._gone = ""
        super().__init__(layers, accepts, placeholder=placeholder)

    @property
    def removed(self) -> bool:
        """True if the layer that was chosen has left the viewer."""
        return bool(self._gone)

    def forget_removed(self) -> None:
        """Say no more which layer has left the viewer."""
        if self._gone:
            self._gone = ""
            self._list(None)

    def _gives_way_to(self, layer: Layer) -> bool:
        if self._gone:
            return self._accepts(layer) and layer.visible
        return super()._gives_way_to(layer)

    def _list(self, wanted: Layer | None) -> None:
        """List the layers anew, and remember the name of a chosen one that is gone."""
        chosen = self._chosen
        if wanted is not None and wanted is not chosen:
            self._gone = ""
        elif chosen is not None and chosen not in self._layers:
            self._gone = chosen.name
        self._placeholder = _GONE.format(name=self._gone) if self._gone else self._empty
        super()._list(wanted)

    def _choose(self, layer: Layer | None) -> None:
        if layer is not None:
            self._gone = ""
        super()._choose(layer)

    def _default(self, offered: list[Layer]) -> Layer | None:
        return None if self._gone else super()._default(offered)


class MapCombo(_KeptCombo):
    """Offer maps and stacks; a kernel is chosen in its own combo box."""

    def __init__(self, layers: LayerList) -> None:
        super().__init__(
            layers, lambda layer: is_map(layer) and is_observation(layer), placeholder=NO_MAP
        )


class KernelCombo(_KeptCombo):
    """Offer kernels; by default the newest of the map that is chosen."""

    def __init__(self, layers: LayerList, map_choice: LayerCombo) -> None:
        self._map_choice = map_choice
        super().__init__(layers, is_kernel_layer, placeholder="extract a kernel first")
        map_choice.layer_changed.connect(self._on_map_changed)

    def _on_map_changed(self, layer: Image | None) -> None:
        if layer is not None:
            self.choose_default()

    def _gives_way_to(self, layer: Layer) -> bool:
        return self._accepts(layer) and not self._by_hand

    def _default(self, offered: list[Layer]) -> Layer | None:
        """Choose the newest of the map; without a map, or where no kernel tells, the newest."""
        image = self._map_choice.layer
        if self._gone or not offered:
            return None
        own = [layer for layer in offered if image is not None and _made_of(layer, image)]
        unknown = [layer for layer in offered if image is None or result_of(layer) is None]
        return next(iter([*own, *unknown]), None)


def _made_of(kernel: Layer, image: Image) -> bool:
    """Return whether a kernel was extracted from an image."""
    result = result_of(kernel)
    return result is not None and extracted_from(result, image)
