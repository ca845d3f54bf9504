"""Point defects: their table, detection, snapping, and the activation map."""

from qpi_kernels.defects.activation import activation_map
from qpi_kernels.defects.blobs import DetectionError
from qpi_kernels.defects.cleaning import by_kind, inside_mask, without_duplicates
from qpi_kernels.defects.detection import DetectionParameters, detect_defects
from qpi_kernels.defects.snapping import SnappingParameters, snap_positions
from qpi_kernels.defects.table import DEFAULT_KIND, DefectFormatError, Defects

__all__ = [
    "DEFAULT_KIND",
    "DefectFormatError",
    "Defects",
    "DetectionError",
    "DetectionParameters",
    "SnappingParameters",
    "activation_map",
    "by_kind",
    "detect_defects",
    "inside_mask",
    "snap_positions",
    "without_duplicates",
]
