"""Sessions of a fresh machine, a contributor and continuous integration: ``nox -s NAME``."""

import os
import shutil
import subprocess
import sys
import tarfile
import urllib.request
from collections.abc import Sequence
from pathlib import Path

import nox

nox.options.sessions = ["lint", "tests"]
nox.options.reuse_existing_virtualenvs = True

TORCH_CPU_INDEX = "https://download.pytorch.org/whl/cpu"

# What napari with PyQt6 needs on a Debian or Ubuntu that has no desktop.
DISPLAY_PACKAGES = (
    "xvfb",
    "libgl1",
    "libegl1",
    "libopengl0",
    "libgl1-mesa-dri",
    "libdbus-1-3",
    "libfontconfig1",
    "libglib2.0-0",
    "libxkbcommon-x11-0",
    "libxcb-cursor0",
    "libxcb-icccm4",
    "libxcb-image0",
    "libxcb-keysyms1",
    "libxcb-randr0",
    "libxcb-render-util0",
    "libxcb-shape0",
    "libxcb-xinerama0",
)


@nox.session
def demo(session: nox.Session) -> None:
    """Extract a kernel from the built-in sample; opens napari where there is a display."""
    if "DISPLAY" in os.environ or "WAYLAND_DISPLAY" in os.environ:
        provide_display_libraries(session)
    install(session, ".[all]")
    session.run("napari-qpi", "demo", *session.posargs)


@nox.session
def tests(session: nox.Session) -> None:
    """Run the fast tests; arguments after ``--`` go to pytest."""
    provide_display_libraries(session)
    install(session, ".[all,test]")
    run_pytest(session, "-m", "not slow")


@nox.session(venv_backend="none")
def tests_slow(session: nox.Session) -> None:
    """Run every test, those marked slow too."""
    session.notify("tests", ["-m", "", *session.posargs])


@nox.session
def tests_oldest(session: nox.Session) -> None:
    """Run the fast tests on the oldest release of each requirement that pyproject.toml admits."""
    provide_display_libraries(session)
    ranges = nox.project.load_toml("pyproject.toml")["project"]["dependencies"]
    floors = [requirement.replace(">=", "==") for requirement in ranges]
    install(session, ".[all,test]", pins=floors)
    run_pytest(session, "-m", "not slow", "-W", "default")


@nox.session
def tests_napari_main(session: nox.Session) -> None:
    """Run the fast tests on napari's development branch."""
    provide_display_libraries(session)
    install(session, ".[all,test]")
    session.install("napari[all] @ git+https://github.com/napari/napari.git")
    run_pytest(session, "-m", "not slow", "-W", "default")


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, docstrings (numpydoc) and types."""
    # With napari and Qt, for the face is checked against their types.
    install(session, ".[all,dev]")
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    sources = [str(path) for root in ("src", "napari_qpi") for path in Path(root).rglob("*.py")]
    session.run("numpydoc", "lint", *sources)
    session.run("mypy")


@nox.session
def docs(session: nox.Session) -> None:
    """Make the pictures of docs/simulator.md anew; arguments after ``--`` name some of them."""
    install(session, ".")
    session.run("python", "docs/make_gallery.py", *session.posargs)


@nox.session
def build(session: nox.Session) -> None:
    """Build sdist and wheel into ``dist``, then check the wheel in an environment of its own."""
    shutil.rmtree("dist", ignore_errors=True)
    session.install("build", "twine")
    session.run("python", "-m", "build")
    session.run("twine", "check", "--strict", *map(str, Path("dist").iterdir()))

    (source,) = Path("dist").glob("*.tar.gz")
    manifest = f"{source.name.removesuffix('.tar.gz')}/napari.yaml"
    with tarfile.open(source) as archive:
        if manifest not in archive.getnames():
            session.error(f"{source} lacks {manifest}: see MANIFEST.in")
    session.notify("check_wheel")


@nox.session(reuse_venv=False)
def check_wheel(session: nox.Session) -> None:
    """Install the wheel in ``dist`` where nothing else is and validate the plugin."""
    provide_display_libraries(session)
    (wheel,) = Path("dist").glob("*.whl")
    install(session, f"{wheel}[all]")
    session.chdir(session.create_tmp())  # away from the checkout, whose packages would be imported
    session.run("npe2", "validate", "--imports", "napari-qpi")


def install(
    session: nox.Session,
    *requirements: str,
    pins: Sequence[str] = ("--constraint", "constraints/tests.txt"),
) -> None:
    """Install requirements on top of a CPU build of torch."""
    # setuptools builds in place and would pack modules that a former build left here.
    shutil.rmtree(Path("build", "lib"), ignore_errors=True)
    session.install(*pins, "torch", *torch_index())
    session.install(*pins, *requirements)


def torch_index() -> list[str]:
    """Return the pip options that get a CPU build of torch.

    PyPI's torch is a CPU build on Windows and macOS, and several gigabytes of CUDA on Linux. There
    PyTorch's own index is preferred, if it answers: pip would retry a dead index for minutes.
    """
    if not sys.platform.startswith("linux"):
        return []
    try:
        with urllib.request.urlopen(f"{TORCH_CPU_INDEX}/torch/", timeout=10):
            return ["--extra-index-url", TORCH_CPU_INDEX]
    except OSError:
        return []


def run_pytest(session: nox.Session, *options: str) -> None:
    """Test the installed package, which is what users get, instead of the checkout.

    A module or data file that packaging forgets fails here; plain ``pytest`` uses the checkout.
    A process for each core; ``tests/conftest.py`` gives each one thread.
    """
    session.run(
        "pytest",
        "--numprocesses=auto",
        "--maxprocesses=4",
        # Neighbours stay in one process, which makes what a module's tests share once.
        "--dist=worksteal",
        "--override-ini=pythonpath=tests",
        *options,
        *session.posargs,
    )


def provide_display_libraries(session: nox.Session) -> None:
    """Install what a napari window needs on a bare Debian or Ubuntu, or say what to install."""
    if shutil.which("dpkg-query") is None:
        return
    # Newer Debian and Ubuntu releases append t64 to the names of some libraries.
    names = [name + suffix for name in DISPLAY_PACKAGES for suffix in ("", "t64")]
    query = ["dpkg-query", "--show", "--showformat=${db:Status-Status} ${Package}\n", *names]
    answer = subprocess.run(query, capture_output=True, text=True).stdout.splitlines()
    installed = {line.removeprefix("installed ").removesuffix("t64") for line in answer}
    missing = [name for name in DISPLAY_PACKAGES if name not in installed]
    if not missing:
        return

    apt = ["apt-get"] if os.geteuid() == 0 else ["sudo", "--non-interactive", "apt-get"]
    install_missing = ["install", "--yes", "--no-install-recommends", *missing]
    session.log(f"apt-get install {' '.join(missing)}")
    try:
        for arguments in (["update"], install_missing):
            subprocess.run([*apt, *arguments], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        session.warn(f"no window can open before: sudo apt-get install {' '.join(missing)}")
