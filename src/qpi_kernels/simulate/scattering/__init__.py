"""Local density of states around impurities by T-matrices; begin at `kernels`."""
