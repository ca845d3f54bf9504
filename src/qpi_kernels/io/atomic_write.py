"""Replace a file only once its new content is complete."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["replacing"]


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a path beside `path` to write to, which takes its place when no error came.

    Parameters
    ----------
    path : Path
        The file to be replaced or made; its folder must exist.

    Yields
    ------
    Path
        Write here; same folder, same extension.
    """
    partial = path.with_name(f".{path.stem}.partial{path.suffix}")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
