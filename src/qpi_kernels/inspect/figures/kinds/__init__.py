"""The kinds of figures: each file of a room here defines ``KIND``, and the registry finds it."""
