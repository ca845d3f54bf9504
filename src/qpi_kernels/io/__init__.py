"""Reading microscope files and writing plain arrays; knows nothing of extraction."""

from qpi_kernels.io.channel_choice import main_channel
from qpi_kernels.io.open_scan import open_scan
from qpi_kernels.io.registry import ScanFormat, known_formats, register, unregister
from qpi_kernels.io.scan import Channel, ScanFormatError, scan_dataset

__all__ = [
    "Channel",
    "ScanFormat",
    "ScanFormatError",
    "known_formats",
    "main_channel",
    "open_scan",
    "register",
    "scan_dataset",
    "unregister",
]
