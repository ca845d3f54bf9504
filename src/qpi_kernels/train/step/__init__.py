"""An optimiser step of a training: gradients, precision, memory, CUDA graphs."""
