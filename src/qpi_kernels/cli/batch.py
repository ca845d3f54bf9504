"""Many files, one progress bar: nothing that goes wrong with one stops the others."""

from __future__ import annotations

import re
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from qpi_kernels.progress import Cancelled, CancelledResumably, CancelToken, Event

__all__ = [
    "FileResult",
    "FileTask",
    "exit_if_failed",
    "plan_outputs",
    "run_batch",
    "stop_with",
    "table_console",
    "write_anew",
]

_EXIT_FAILED, _EXIT_CANCELLED = 1, 130
_PIPE_WIDTH = 200
_FILE_ENDING = re.compile(r"\.[A-Za-z]\w{1,4}")


@dataclass
class FileTask:
    """The task of one file: its path, where to report, and a token that cancels it."""

    path: Path
    on_event: Callable[[Event], object]
    cancel: CancelToken


@dataclass(frozen=True)
class FileResult:
    """Outcome of one file.

    Parameters
    ----------
    path : Path
        The file.
    message : str
        One line: what was made, or why nothing was.
    failed : bool
        Whether it went wrong.
    report : dict
        Numbers for the JSON report.
    """

    path: Path
    message: str
    failed: bool = False
    report: dict[str, Any] = field(default_factory=dict)


def stop_with(message: str, code: int = _EXIT_FAILED) -> typer.Exit:
    """Say one line on stderr; raise what is returned."""
    Console(stderr=True, soft_wrap=True, highlight=False).print(
        f"napari-qpi: {' '.join(message.split())}", markup=False
    )
    return typer.Exit(code)


def table_console() -> Console:
    """Give a console for tables; wide where no terminal limits it, so that pipes stay readable."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=_PIPE_WIDTH)


def run_batch(
    paths: Sequence[Path], work: Callable[[FileTask], FileResult], *, debug: bool = False
) -> list[FileResult]:
    """Do the same work on files, one after the other.

    Parameters
    ----------
    paths : sequence of Path
        The files.
    work : callable
        Called with a `FileTask`; any exception it raises becomes a failed `FileResult`.
    debug : bool
        Let exceptions through, with their traceback.

    Returns
    -------
    list of FileResult
        One per file, in order.

    Raises
    ------
    typer.Exit
        With code 130 after Ctrl-C: the file at work is left as it was, finished ones stay.
    """
    token = CancelToken()
    outcomes: list[FileResult] = []
    left = ""
    errors = Console(stderr=True, soft_wrap=True, highlight=False)
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        console=errors,
        transient=True,
        disable=not errors.is_terminal,
    )
    with _interrupt_cancels(token), bar:
        task = bar.add_task("", total=len(paths))
        for index, path in enumerate(paths):

            def show(event: Event, index: int = index, path: Path = path) -> None:
                bar.update(
                    task,
                    completed=index + (event.fraction or 0.0),
                    description=escape(f"{path.name}: {event.message}"),
                )

            show(Event("reading"))
            try:
                token.check()
                outcome = work(FileTask(path, show, token))
            except CancelledResumably as stopped:
                left = str(stopped)
                break
            except Cancelled:
                break
            except Exception as error:
                if debug:
                    raise
                outcome = FileResult(path, _one_line(error, path), failed=True)
            outcomes.append(outcome)
            prefix = "napari-qpi: " if outcome.failed else ""
            if outcome.failed or len(paths) == 1:
                (errors if outcome.failed else Console(soft_wrap=True, highlight=False)).print(
                    f"{prefix}{outcome.message}", markup=False
                )
            bar.update(task, completed=index + 1)
    if token.cancelled and len(outcomes) < len(paths):
        done = f"{len(outcomes)} of {len(paths)} files were done"
        raise stop_with(f"cancelled; {left or done}", _EXIT_CANCELLED)
    if len(paths) > 1:
        _print_summary(outcomes)
    return outcomes


def _one_line(error: Exception, path: Path) -> str:
    """Describe in one line why a file failed."""
    known = isinstance(error, ValueError | OSError | MemoryError)
    text = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, OSError) and error.strerror:
        text = error.strerror if error.filename is None else f"{error.filename}: {error.strerror}"
    if not known:
        text = f"{type(error).__name__}: {text} (--debug shows where)"
    return text if text.startswith(path.name) else f"{path.name}: {text}"


def exit_if_failed(outcomes: Sequence[FileResult]) -> None:
    """Leave the command with code 1 if anything went wrong; raises `typer.Exit`."""
    if any(outcome.failed for outcome in outcomes):
        raise typer.Exit(_EXIT_FAILED)


def _print_summary(outcomes: Sequence[FileResult]) -> None:
    """Print a table of the files and what became of them."""
    failed = sum(outcome.failed for outcome in outcomes)
    table = Table(
        title=f"{len(outcomes) - failed} of {len(outcomes)} files done", title_justify="left"
    )
    for column in ("file", "", "what"):
        table.add_column(column, overflow="fold")
    for outcome in outcomes:
        mark = "[red]failed[/red]" if outcome.failed else "[green]done[/green]"
        message = outcome.message.removeprefix(f"{outcome.path.name}: ")
        table.add_row(escape(str(outcome.path)), mark, escape(message))
    table_console().print(table)


@contextmanager
def _interrupt_cancels(token: CancelToken) -> Iterator[None]:
    """Turn the first Ctrl-C into a cancel; a second one stops at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGINT)

    def interrupt(number: int, frame: FrameType | None) -> None:
        token.cancel()
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def plan_outputs(
    paths: Sequence[Path], output: Path | None, suffix: str, extensions: Sequence[str]
) -> dict[Path, Path]:
    """Decide where each file's result goes.

    Parameters
    ----------
    paths : sequence of Path
        The files read.
    output : Path, optional
        A file when there is one input and the name ends in one of ``extensions``, otherwise a
        folder, made when missing. Left out: beside each file.
    suffix : str
        What is added to a file's stem, with the extension, such as ``_kernel.nc``.
    extensions : sequence of str
        Extensions that make ``output`` a file.

    Returns
    -------
    dict of Path to Path
        Different for every input: where two would collide, the folder and the extension of the
        input go into the name.

    Raises
    ------
    typer.Exit
        If ``output`` is one file for many, or ends like a file that can not be written.
    """
    is_file = output is not None and output.suffix.lower() in extensions and not output.is_dir()
    if output is not None and is_file:
        if len(paths) > 1:
            raise stop_with(f"{len(paths)} files can not all go to {output.name}; -o a folder")
        return dict.fromkeys(paths, output)
    if output is not None and not output.is_dir() and _FILE_ENDING.fullmatch(output.suffix):
        raise stop_with(f"{output.name}: can write {', '.join(extensions)}, or into a folder")
    folders = [output if output is not None else path.parent for path in paths]
    plain = [folder / f"{path.stem}{suffix}" for folder, path in zip(folders, paths, strict=True)]
    targets = [
        target
        if plain.count(target) == 1
        else folder / f"{'_'.join(path.with_suffix('').parts[-2:])}_{path.suffix[1:]}{suffix}"
        for target, folder, path in zip(plain, folders, paths, strict=True)
    ]
    unique: list[Path] = []
    for target in targets:
        number, candidate = 2, target
        while candidate in unique:
            candidate = target.with_stem(f"{target.stem}_{number}")
            number += 1
        unique.append(candidate)
    return dict(zip(paths, unique, strict=True))


def write_anew(path: Path, overwrite: bool) -> Path:
    """Check that a file may be written, and make its folder.

    Raises
    ------
    FileExistsError
        If it exists and ``overwrite`` is false.
    """
    if path.exists() and not overwrite:
        raise FileExistsError(f"{path} exists; --overwrite replaces it")
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
