"""Python scripts that repeat what was done."""
