"""Lattices in maps: their Bragg peaks, their displacement from a target lattice, their waves.

`spectrum` finds sharp peaks, `bragg_peaks` those of a lattice, `displacement` follows the lattice
through the image, `target` names the lattice it should be, `plane_waves` fits waves to a map,
`unit_cell` finds what repeats in every cell.
"""
