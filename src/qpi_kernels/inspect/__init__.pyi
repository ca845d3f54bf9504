from .axes import InspectionError as InspectionError
from .axes import pixel_edges as pixel_edges
from .cuts import cut_stack as cut_stack
from .cuts import line_cut as line_cut
from .fourier_transform import fourier as fourier
from .profiles import radial_profile as radial_profile
from .profiles import sector_profile as sector_profile
