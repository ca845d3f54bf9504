"""Files built from the checkout hold everything a user needs and nothing else."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build an sdist, and from it a wheel."""
    pytest.importorskip("build", reason="the package `build` is missing: run `nox -s tests_slow`")
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--outdir", str(folder), str(ROOT)]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return folder


def package_files() -> set[str]:
    """Name the files of both packages in the checkout as a wheel names them."""
    return {
        path.relative_to(parent).as_posix()
        for parent, package in [(ROOT, "napari_qpi"), (ROOT / "src", "qpi_kernels")]
        for path in (parent / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_the_wheel_holds_both_packages_and_nothing_else(distributions: Path) -> None:
    (wheel,) = distributions.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert packed == package_files()


def test_the_wheel_is_pure_python(distributions: Path) -> None:
    (wheel,) = distributions.glob("*.whl")
    assert wheel.name.endswith("-py3-none-any.whl")


def test_the_sdist_holds_the_top_level_manifest(distributions: Path, tmp_path: Path) -> None:
    (sdist,) = distributions.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    root = tmp_path / sdist.name.removesuffix(".tar.gz")
    packaged = ROOT / "napari_qpi" / "napari.yaml"
    assert (root / "napari.yaml").read_bytes() == packaged.read_bytes()
    for name in ["LICENSE", "README.md", "CHANGELOG.md", "CITATION.cff"]:
        assert (root / name).is_file(), name
