"""Commands that show saved kernels: reports and figures."""
