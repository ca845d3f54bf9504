"""Simulated kernels, maps and data sets with known truth.

The way of the data: `bands` -> `single_defect` -> `KernelSampler` -> `observe` -> data sets.
``__init__.pyi`` lists the public names; each is imported on first use.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
