"""One process at a time trains into a folder."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from qpi_kernels.train.files.folder_lock import FolderLock
from qpi_kernels.train.parameters import TrainingError

HOLDER = ".lock.json"
HOLD = """
import sys
from pathlib import Path
from qpi_kernels.train.files.folder_lock import FolderLock
lock = FolderLock(Path(sys.argv[1]))
lock.take()
print("taken", flush=True)
sys.stdin.read()
"""
Start = Callable[[], subprocess.Popen[str]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start another process that takes the folder, and end it after the test."""
    running = []

    def started() -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", HOLD, str(tmp_path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        running.append(process)
        return process

    yield started
    for process in running:
        process.kill()
        process.communicate()


@pytest.fixture
def other(start: Start) -> subprocess.Popen[str]:
    """Another process that has the folder."""
    process = start()
    assert process.stdout is not None
    assert process.stdout.readline() == "taken\n"
    return process


def test_a_folder_of_another_process_is_refused_with_its_name(
    other: subprocess.Popen[str], tmp_path: Path
) -> None:
    with pytest.raises(TrainingError, match=f"process {other.pid} on .* is training in"):
        FolderLock(tmp_path).take()
    other.communicate()
    assert not (tmp_path / HOLDER).exists()
    FolderLock(tmp_path).take()


def test_a_folder_of_a_killed_process_is_free(other: subprocess.Popen[str], tmp_path: Path) -> None:
    other.kill()
    other.wait()
    assert (tmp_path / HOLDER).exists()
    lock = FolderLock(tmp_path)
    lock.take()
    assert str(os.getpid()) in (tmp_path / HOLDER).read_text()


@pytest.mark.parametrize("content", ["", "[]", "{}"])
def test_a_damaged_note_does_not_hide_the_refusal(
    other: subprocess.Popen[str], tmp_path: Path, content: str
) -> None:
    (tmp_path / HOLDER).write_text(content)
    with pytest.raises(TrainingError, match="another process is training in"):
        FolderLock(tmp_path).take()


def test_a_process_holds_the_folder_until_its_last_run_is_released(
    start: Start, tmp_path: Path
) -> None:
    first, second = FolderLock(tmp_path), FolderLock(tmp_path)
    first.take()
    second.take()
    first.release()
    first.release()
    _, refused = start().communicate()
    assert f"process {os.getpid()} on" in refused
    second.release()
    taken, _ = start().communicate()
    assert taken == "taken\n"


def test_a_dropped_lock_is_free(start: Start, tmp_path: Path) -> None:
    FolderLock(tmp_path).take()
    gc.collect()
    taken, _ = start().communicate()
    assert taken == "taken\n"
