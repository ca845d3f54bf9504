"""Shared by the reader tests: damage that every reader survives."""

import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from qpi_kernels.io import ScanFormatError, open_scan

MIB = 2**20


@pytest.fixture
def assert_refused():
    """Check that a file is refused in one line that names it and the reason."""

    def check(path, reason, **options):
        with pytest.raises(ScanFormatError) as caught:
            open_scan(path, **options)
        assert reason in str(caught.value)
        assert Path(path).name in str(caught.value)
        assert "\n" not in str(caught.value)

    return check


@pytest.fixture
def damaged():
    """Yield copies of a file's bytes with a few bytes changed at random."""

    def copies(path, count, most=20, seed=1):
        whole, random = np.frombuffer(path.read_bytes(), np.uint8), np.random.default_rng(seed)
        for _ in range(count):
            changed = whole.copy()
            places = random.integers(0, len(whole), random.integers(1, most))
            changed[places] = random.integers(0, 256, places.size)
            yield changed.tobytes()

    return copies


@pytest.fixture
def survives():
    """Check that opening ends in a data set, which it returns, or in one clear line."""

    def check(path):
        try:
            return open_scan(path)
        except ScanFormatError as error:
            message = str(error)
        assert "\n" not in message
        return None

    return check


@pytest.fixture
def assert_random_damage_is_survived(survives):
    """Check that changed bytes and a changed length give a data set or one clear line.

    `opened` is the file to open, where that is another than the damaged one.
    """

    def check(path, *, trials, seed, opened=None):
        whole = np.frombuffer(Path(path).read_bytes(), np.uint8)
        random = np.random.default_rng(seed)
        for _ in range(trials):
            damaged = whole.copy()
            places = random.integers(0, len(whole), random.integers(1, 12))
            damaged[places] = random.choice(
                [0, 255, 127, 128, *random.integers(0, 256, 6)], places.size
            )
            Path(path).write_bytes(damaged.tobytes()[: random.integers(1, 2 * len(whole))])
            survives(path if opened is None else opened)

    return check


@pytest.fixture
def trace_correlation():
    """Correlate forward and backward topography, each row freed of its median."""

    def correlate(scan):
        both = [scan[f"topography_{way}"].values for way in ("forward", "backward")]
        levelled = [image - np.median(image, axis=1, keepdims=True) for image in both]
        return np.corrcoef(levelled[0].ravel(), levelled[1].ravel())[0, 1]

    return correlate


@pytest.fixture
def assert_survives_damage(tmp_path):
    """Check that damage gives a data set or one line of `ScanFormatError`, soon and in little room.

    The file is cut at places spread over its whole length, and its bytes are changed, above all
    in the first `header_bytes`.
    """

    def check(path, header_bytes, *, trials=150, seed=0):
        whole = Path(path).read_bytes()
        rng = np.random.default_rng(seed)
        cuts = {0, 1, header_bytes, len(whole) - 1}
        cuts |= set(rng.integers(0, header_bytes, 15).tolist())
        cuts |= set(rng.integers(0, len(whole), 15).tolist())
        damaged = [whole[:cut] for cut in sorted(cuts)]
        for trial in range(trials):
            changed = bytearray(whole)
            reach = header_bytes if trial % 4 else len(whole)
            for position in rng.integers(0, reach, rng.integers(1, 4)):
                changed[position] = rng.choice([0, 32, 45, 48, 57, 255, rng.integers(0, 256)])
            damaged.append(bytes(changed))
        damaged += [whole[:header_bytes] + rng.bytes(200), whole + b"\0" * 64, whole * 2]

        target = tmp_path / f"damaged{Path(path).suffix}"
        outcomes = {"read": 0, "refused": 0}
        tracemalloc.start()
        try:
            for content in damaged:
                target.write_bytes(content)
                tracemalloc.reset_peak()
                message = ""
                started, before = time.perf_counter(), tracemalloc.get_traced_memory()[0]
                try:
                    open_scan(target)
                    outcomes["read"] += 1
                except ScanFormatError as error:
                    message = str(error)
                    outcomes["refused"] += 1
                assert "\n" not in message
                assert time.perf_counter() - started < 5
                assert tracemalloc.get_traced_memory()[1] - before < 150 * MIB
        finally:
            tracemalloc.stop()
        assert outcomes["refused"] > 0
        return outcomes

    return check
