"""A folder that one process at a time writes to."""

from __future__ import annotations

import json
import os
import platform
import uuid
import weakref
from pathlib import Path
from typing import Any

import psutil

from qpi_kernels.io.atomic_write import replacing
from qpi_kernels.train.parameters import TrainingError

__all__ = ["FolderLock"]

_FILE = ".lock.json"
# Clocks are set while processes run.
_SAME_START_S = 10.0


class FolderLock:
    """Keeps other processes from training into the same folder.

    The lock is a file that names the process. One whose process is gone, killed or switched off, is
    taken over. Within one process nothing is refused: there the caller knows what is at work.

    Parameters
    ----------
    folder : Path
        The folder, which is made if there is none.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / _FILE
        self._key = uuid.uuid4().hex
        self._at_end = weakref.finalize(self, _let_go, self._path, self._key)

    def take(self) -> None:
        """Take the folder.

        Raises
        ------
        TrainingError
            If another process that still runs, or one of another computer, has it.
        """
        self._path.parent.mkdir(parents=True, exist_ok=True)
        me = psutil.Process()
        mine = {
            "process": me.pid,
            "started": me.create_time(),
            "computer": platform.node(),
            "key": self._key,
        }
        try:
            with self._path.open("x", encoding="utf-8") as file:
                json.dump(mine, file)
        except FileExistsError:
            holder = _holder(self._path)
            if _at_work(holder):
                raise TrainingError(
                    f"process {holder['process']} on {holder['computer']} is training in "
                    f"{self._path.parent}; wait until it has ended or choose another folder (if it "
                    f"has, remove {self._path})"
                ) from None
            with replacing(self._path) as partial:
                partial.write_text(json.dumps(mine), encoding="utf-8")

    def release(self) -> None:
        """Let go of the folder, if this lock still has it."""
        self._at_end()


def _holder(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return {name: found[name] for name in ("process", "started", "computer", "key")}
    except (OSError, ValueError, TypeError, KeyError):  # let go of meanwhile, or cut off by a kill
        return {}


def _at_work(holder: dict[str, Any]) -> bool:
    if not holder or holder["process"] == os.getpid():
        return False
    if holder["computer"] != platform.node():
        return True
    try:
        started = psutil.Process(holder["process"]).create_time()
    except psutil.Error:
        return False
    # Numbers of processes come again.
    return bool(abs(started - holder["started"]) < _SAME_START_S)


def _let_go(path: Path, key: str) -> None:
    if _holder(path).get("key") == key:
        path.unlink(missing_ok=True)
