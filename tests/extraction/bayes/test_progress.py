"""Steps of bayes: short enough for a cancel to feel immediate, counted in one total."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest

from qpi_kernels.extraction import start_extraction
from qpi_kernels.extraction.bayes.estimator import BayesExtraction
from qpi_kernels.extraction.bayes.parameters import BayesParameters
from qpi_kernels.extraction.problem import Problem
from qpi_kernels.progress import Event, drive

_MAX_SECONDS = 1.0
COLD = """
import json, sys, time
import numpy as np
import torch
from qpi_kernels.extraction import start_extraction

rng = np.random.default_rng(0)
parameters = json.loads(sys.argv[1])
run = start_extraction(rng.normal(size=(64, 64)), rng.uniform(0, 63, (9, 2)), **parameters)
seconds, events = [], []
while not run.done:
    before = time.process_time()
    events.append(run.step())
    seconds.append(time.process_time() - before)
totals = {event.total for event in events}
print(json.dumps([max(seconds), len(totals), "diffusers" in sys.modules]))
"""


def observed_stack(planes: int) -> tuple[np.ndarray, np.ndarray]:
    """Rings about defects in noise that is not white, and the positions of the defects."""
    rng = np.random.default_rng(3)
    positions = rng.uniform(0, 79, (12, 2))
    rows, columns = np.mgrid[:80, :80]
    maps = []
    for plane in range(planes):
        radius = np.hypot(rows - positions[:, 0, None, None], columns - positions[:, 1, None, None])
        waves = (np.cos((0.8 + 0.05 * plane) * radius) * np.exp(-radius / 6)).sum(axis=0)
        drift = np.cumsum(rng.normal(size=(80, 80)), axis=1)
        maps.append(waves / waves.std() + drift / drift.std() / 3 + rng.normal(size=(80, 80)) / 3)
    return np.stack(maps), positions


@pytest.mark.parametrize("method", ["bayes", "least_squares"])
@pytest.mark.parametrize("planes", [1, 3])
def test_totals_stay_and_steps_are_short(method: str, planes: int) -> None:
    stack, positions = observed_stack(planes)
    run = start_extraction(stack, positions, kernel_shape=(24, 24), method=method)
    events: list[Event] = []
    seconds = []
    while not run.done:
        before = time.thread_time()
        events.append(run.step())
        seconds.append(time.thread_time() - before)
    assert max(seconds) < _MAX_SECONDS
    assert len({event.total for event in events}) == 1
    fractions = [event.fraction or 0.0 for event in events]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    # The end is not announced long before it comes.
    assert fractions[3 * len(fractions) // 4] < 0.97


def test_a_cold_first_run_takes_short_steps_and_loads_no_networks() -> None:
    command = [sys.executable, "-c", COLD, json.dumps({"kernel_shape": [24, 24]})]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    longest, totals, networks = json.loads(output.splitlines()[-1])
    assert longest < _MAX_SECONDS
    assert totals == 1
    assert not networks


def test_with_less_memory_fewer_planes_are_solved_together() -> None:
    stack, positions = observed_stack(4)
    parameters = BayesParameters(kernel_shape=(12, 12), prior="none", noise="white")
    problem = Problem.check(stack[:, :40, :40], positions, None, parameters)
    kernels, messages = [], []
    for share in (1.0, 0.1):
        events: list[Event] = []
        run = BayesExtraction(replace(problem, memory_share=share))
        kernels.append(drive(run, on_event=events.append).kernel.values)
        messages.append({event.message for event in events})
    together, apart = (" ".join(sorted(some)) for some in messages)
    assert "of bias 1-4 of 4" in together
    assert "of bias 1-4 of 4" not in apart
    assert "of bias 4 of 4" in apart
    np.testing.assert_allclose(kernels[1], kernels[0], atol=1e-3 * np.abs(kernels[0]).max())
