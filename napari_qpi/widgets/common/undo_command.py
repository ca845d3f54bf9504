"""`RecordedChange`: a change that a person made, for Qt's undo stack."""

from __future__ import annotations

from qtpy.QtGui import QUndoCommand  # type: ignore[attr-defined]

__all__ = ["RecordedChange"]


class RecordedChange(QUndoCommand):  # type: ignore[misc]
    """A change that is made already when it is recorded.

    Qt calls `redo` when a change is pushed, too; that call does nothing. Subclasses have `make`
    and `take_back`.

    Parameters
    ----------
    words : str
        Name of the change in a menu.
    """

    def __init__(self, words: str) -> None:
        super().__init__(words)
        self._made = True

    def make(self) -> None:
        """Make the change again."""
        raise NotImplementedError

    def take_back(self) -> None:
        """Undo the change."""
        raise NotImplementedError

    def redo(self) -> None:
        """Make the change unless it is made already."""
        if not self._made:
            self.make()
        self._made = True

    def undo(self) -> None:
        """Take the change back."""
        self._made = False
        self.take_back()
