"""Losses are read as they are done."""

from __future__ import annotations

import math

import pytest
import torch

from qpi_kernels.train.step.loss_queue import LossQueue


def test_the_losses_of_a_cpu_are_those_of_the_step() -> None:
    queue = LossQueue()
    assert queue.read() == {}
    for number in range(3):
        queue.put({"loss": torch.tensor(float(number)), "mean": torch.tensor(0.5)})
        assert queue.read() == {"loss": float(number), "mean": 0.5}


@pytest.mark.skipif(not torch.cuda.is_available(), reason="only a GPU lags behind")
def test_the_losses_of_a_gpu_lag_and_no_number_is_lost() -> None:
    queue = LossQueue()
    for number in range(30):
        queue.put({"loss": torch.tensor(float(number), device="cuda")})
        assert number - 9 <= queue.read()["loss"] <= number
    assert queue.read(wait=True) == {"loss": 29.0}
    queue.put({"loss": torch.tensor(math.nan, device="cuda")})
    queue.put({"loss": torch.tensor(1.0, device="cuda")})
    assert math.isnan(queue.read(wait=True)["loss"])
