"""Wave numbers from the kernel's angular mean in real space; begin at `method`."""
