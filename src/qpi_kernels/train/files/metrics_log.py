"""Log of a training's metrics: a line of JSON each time, and TensorBoard if installed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from accelerate.utils import is_tensorboard_available

from qpi_kernels.io.atomic_write import replacing

__all__ = ["MetricsLog", "trackers"]

_FILE = "metrics.jsonl"
_TENSORBOARD = "tensorboard"


def trackers() -> str | None:
    """List what `Accelerator` logs with: TensorBoard if it is installed."""
    return _TENSORBOARD if is_tensorboard_available() else None


class MetricsLog:
    """Rows in ``metrics.jsonl``, and the same numbers in the folder ``tensorboard``.

    Rows of steps that a killed run made after its last checkpoint go, for they come again.

    Parameters
    ----------
    folder : Path
        The stage's folder.
    accelerator : Accelerator
        Made with `trackers` and this folder.
    step : int
        The step from which the run goes on.
    """

    def __init__(self, folder: Path, accelerator: Accelerator, step: int) -> None:
        self._path = folder / _FILE
        self._accelerator: Any = accelerator
        if not accelerator.is_main_process:
            return
        if self._path.exists():
            self._forget_after(step)
        folder.mkdir(parents=True, exist_ok=True)
        accelerator.init_trackers(
            _TENSORBOARD, init_kwargs={_TENSORBOARD: {"purge_step": step + 1}}
        )

    def write(self, row: dict[str, float]) -> None:
        """Add a row; it has a ``step``."""
        if not self._accelerator.is_main_process:
            return
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        numbers = {name: value for name, value in row.items() if name != "step"}
        self._accelerator.log(numbers, step=int(row["step"]))

    def _forget_after(self, step: int) -> None:
        """Remove the rows of steps that come again after a resume."""
        kept = []
        for line in self._path.read_text(encoding="utf-8").splitlines():
            try:
                row = json.loads(line)
            except ValueError:  # cut off by a kill
                continue
            if row["step"] <= step:
                kept.append(line + "\n")
        with replacing(self._path) as partial:
            partial.write_text("".join(kept), encoding="utf-8")
