from .folder import KernelModel as KernelModel
from .folder import write_model as write_model
from .folder_files import ModelFormatError as ModelFormatError
from .loading import load_model as load_model
