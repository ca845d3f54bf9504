"""A folder that one process at a time trains into."""

from __future__ import annotations

import json
import os
import platform
import weakref
from pathlib import Path

from filelock import FileLock, Timeout

from qpi_kernels.io.atomic_write import replacing
from qpi_kernels.train.parameters import TrainingError

__all__ = ["FolderLock"]

_LOCK, _HOLDER = ".lock", ".lock.json"


class FolderLock:
    """Keep other processes from training into the same folder.

    The operating system frees the lock of a process that was killed. Within one process nothing is
    refused: there the caller knows what is at work.

    Parameters
    ----------
    folder : Path
        The folder, which is made if it is missing.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def take(self) -> None:
        """Lock the folder, and note this process for the message that others get.

        Raises
        ------
        TrainingError
            If another process has it.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        # One for the process: it counts the runs that hold it, in whichever thread.
        lock = FileLock(self._folder / _LOCK, is_singleton=True, thread_local=False)
        try:
            lock.acquire(blocking=False)
        except Timeout:
            raise TrainingError(
                f"{_described_holder(self._folder)} is training in {self._folder}; wait until it "
                "has ended or choose another folder"
            ) from None
        self._release = weakref.finalize(self, _free, lock, self._folder)
        with replacing(self._folder / _HOLDER) as partial:
            holder = {"process": os.getpid(), "computer": platform.node()}
            partial.write_text(json.dumps(holder), encoding="utf-8")

    def release(self) -> None:
        """Free the folder, if this lock has it."""
        if hasattr(self, "_release"):
            self._release()


def _free(lock: FileLock, folder: Path) -> None:
    """Release a lock once; with its last holder in this process the note goes too."""
    if lock.lock_counter == 1:
        (folder / _HOLDER).unlink(missing_ok=True)
    lock.release()


def _described_holder(folder: Path) -> str:
    """Name the process that has a folder, as far as its note can be read."""
    try:
        holder = json.loads((folder / _HOLDER).read_text(encoding="utf-8"))
        return f"process {holder['process']} on {holder['computer']}"
    except (OSError, ValueError, TypeError, KeyError):  # released meanwhile, or cut off by a kill
        return "another process"
