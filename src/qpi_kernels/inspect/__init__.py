"""From maps and kernels to physics: Fourier transforms, profiles, cuts, symmetry, dispersion.

Functions from DataArray to DataArray, or to a small result class with errors and units.
``__init__.pyi`` lists the public names; each is imported on first use. No file has the name of a
function in it: the import of the one would hide the other.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
