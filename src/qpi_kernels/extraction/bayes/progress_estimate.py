"""Guessing how much work is left in phases whose lengths are learnt on the way."""

from __future__ import annotations

from collections import Counter

from qpi_kernels.progress import Event

__all__ = ["ProgressEstimator"]


class ProgressEstimator:
    """Counts steps and expects each phase to take as long as the last of its name did.

    The share that is done never goes back.

    Parameters
    ----------
    expected : dict of str to int
        First guess of the steps of a phase, by its name.
    planned : dict of str to int
        How many phases of each name there will be.
    """

    def __init__(self, expected: dict[str, int], planned: dict[str, int]) -> None:
        self._expected = dict(expected)
        self._left = Counter(planned)
        self._name: str | None = None
        self._steps = self._in_phase = 0
        self._fraction = 0.0

    def plan(self, planned: dict[str, int]) -> None:
        """Expect more phases of some names."""
        self._left.update(planned)

    def begin(self, name: str) -> None:
        """Start a phase; the one before it is over."""
        self._finish()
        self._name, self._in_phase = name, 0
        self._left[name] -= 1

    def step(self, message: str) -> Event:
        """One step of the phase."""
        self._steps += 1
        self._in_phase += 1
        later = sum(max(count, 0) * self._expected[name] for name, count in self._left.items())
        here = self._expected[self._name] if self._name is not None else 0
        total = self._steps + max(here - self._in_phase, 0) + later + 1
        if self._fraction * total > self._steps:
            total = max(self._steps, int(self._steps / self._fraction))
        self._fraction = self._steps / total
        return Event(message, self._steps, total)

    def end(self, message: str) -> Event:
        """Everything is done."""
        self._finish()
        return Event(message, self._steps + 1, self._steps + 1)

    def _finish(self) -> None:
        if self._name is not None and self._in_phase:
            self._expected[self._name] = self._in_phase
        self._name = None
