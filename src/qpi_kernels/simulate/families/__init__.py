"""Families of kernels: what is drawn at random within each, and the symmetry it must have.

A family is a file here and a line of `catalogue`. ``__init__.pyi`` lists the public names; each is
imported on first use.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
