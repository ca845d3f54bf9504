"""Networks, their saved folders, the bundled models and the library of simulated kernels.

``__init__.pyi`` lists the public names; each is imported on first use, for networks take seconds.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
