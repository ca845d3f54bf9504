"""Running parts of a computation that yield events and return a result."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, TypeVar

Result = TypeVar("Result")


def result_of(work: Generator[Any, None, Result]) -> Result:
    """Run a generator to its end and give its result."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            result: Result = end.value
            return result
