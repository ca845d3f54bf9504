"""`DispersionError`: a kernel whose waves can not be fitted as asked."""

from __future__ import annotations

__all__ = ["DispersionError"]


class DispersionError(ValueError):
    """Waves or bands can not be fitted as asked; the message says what to change."""
