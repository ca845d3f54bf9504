"""Refinement of defect positions and review of the table; begin at `refinement`."""
