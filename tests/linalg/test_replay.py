"""A sequence of operations that is repeated."""

from __future__ import annotations

import torch

from qpi_kernels.linalg.replay import Replay


def test_each_call_runs_the_sequence_once(device: str) -> None:
    state = torch.ones(3, device=device)
    replay = Replay(state.device)
    for number in range(1, 6):
        replay(lambda: state.mul_(2))
        assert state.tolist() == [2.0**number] * 3


def test_elsewhere_than_on_cuda_the_function_itself_is_called() -> None:
    calls: list[int] = []
    replay = Replay(torch.device("cpu"))
    for number in range(5):
        replay(lambda number=number: calls.append(number))
    assert calls == [0, 1, 2, 3, 4]
