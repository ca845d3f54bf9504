"""Evidence of samples and left-out blocks for kinds and defects; begin at `model_order`."""
