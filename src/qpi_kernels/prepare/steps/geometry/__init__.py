"""Steps that move pixels, and mask and defects with them."""
