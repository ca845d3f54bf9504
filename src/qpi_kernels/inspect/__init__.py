"""Looking at maps and kernels: what they show in momentum space."""

from qpi_kernels.inspect.fourier import fourier_magnitude

__all__ = ["fourier_magnitude"]
