"""Steps that find pixels which must not count; they only change the mask."""
