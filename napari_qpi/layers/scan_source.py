"""`ScanSource`: the file that an image layer was read from."""

from __future__ import annotations

from dataclasses import dataclass

from napari.layers import Image

from napari_qpi.layers.conversion import METADATA_KEY

__all__ = ["ScanSource"]


@dataclass(frozen=True)
class ScanSource:
    """File and channel from which an image's numbers can be read again.

    Parameters
    ----------
    path : str
        A scan file that `qpi_kernels.open_scan` reads.
    channel : str
        Variable of the data set.
    bias_reversed : bool
        Whether the layer shows the planes in the opposite order.
    """

    path: str
    channel: str
    bias_reversed: bool

    @classmethod
    def of(cls, image: Image) -> ScanSource | None:
        """Find the file a layer was read from; None when it is no scan file."""
        known = image.metadata.get(METADATA_KEY, {})
        path, channel = image.source.path, known.get("channel")
        if not path or not channel or known.get("role") != "channel":
            return None
        return cls(str(path), str(channel), bool(known.get("bias_reversed")))
