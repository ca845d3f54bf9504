"""One process at a time trains into a folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from qpi_kernels.train.folder_lock import FolderLock
from qpi_kernels.train.parameters import TrainingError

LOCK = ".lock.json"
HOLD = """
import sys
from pathlib import Path
from qpi_kernels.train.folder_lock import FolderLock
lock = FolderLock(Path(sys.argv[1]))
lock.take()
print("taken", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def other(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that has the folder."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "taken\n"
        yield process
        process.kill()


def test_what_another_process_has_is_refused(other: subprocess.Popen[str], tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=f"process {other.pid} on .* is training in"):
        FolderLock(tmp_path).take()
    other.communicate()
    assert not (tmp_path / LOCK).exists()
    FolderLock(tmp_path).take()


def test_what_a_killed_process_had_is_taken_over(
    other: subprocess.Popen[str], tmp_path: Path
) -> None:
    other.kill()
    other.wait()
    assert (tmp_path / LOCK).exists()
    lock = FolderLock(tmp_path)
    lock.take()
    assert json.loads((tmp_path / LOCK).read_text())["process"] == os.getpid()


def test_a_number_that_another_process_got_meanwhile_is_none(
    other: subprocess.Popen[str], tmp_path: Path
) -> None:
    held = json.loads((tmp_path / LOCK).read_text())
    (tmp_path / LOCK).write_text(json.dumps(held | {"started": held["started"] - 3600}))
    FolderLock(tmp_path).take()


def test_a_computer_that_can_not_be_asked_counts(tmp_path: Path) -> None:
    FolderLock(tmp_path).take()
    (tmp_path / LOCK).write_text(
        json.dumps({"process": 1, "started": 0.0, "computer": "another", "key": "?"})
    )
    with pytest.raises(TrainingError, match=r"process 1 on another .*remove .*lock"):
        FolderLock(tmp_path).take()


@pytest.mark.parametrize("content", ["", "[]", "{}"])
def test_a_lock_that_a_kill_cut_off_is_taken_over(tmp_path: Path, content: str) -> None:
    (tmp_path / LOCK).write_text(content)
    lock = FolderLock(tmp_path)
    lock.take()
    lock.release()
    assert not list(tmp_path.iterdir())


def test_a_lock_of_the_past_leaves_the_next_one_alone(tmp_path: Path) -> None:
    first, second = FolderLock(tmp_path), FolderLock(tmp_path)
    first.take()
    second.take()
    first.release()
    assert (tmp_path / LOCK).exists()
    second.release()
    assert not (tmp_path / LOCK).exists()
