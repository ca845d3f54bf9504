from . import progress as progress
from . import simulate as simulate
from .defects import Defects as Defects
from .extraction import extract as extract
from .io import ScanFormatError as ScanFormatError
from .io import open_scan as open_scan
from .models import load_model as load_model
from .result import KernelResult as KernelResult
