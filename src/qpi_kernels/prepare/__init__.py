"""Preparation of raw images: an ordered list of steps, each one file in `steps`.

``__init__.pyi`` lists the public names; each is imported on first use.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
