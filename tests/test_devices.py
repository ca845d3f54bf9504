"""Device names, and what `auto` stands for."""

from __future__ import annotations

import pytest
import torch

from qpi_kernels.devices import AUTO_DEVICE, DeviceError, choose_device


def test_auto_is_what_the_environment_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(AUTO_DEVICE, "cpu")
    assert choose_device("auto") == torch.device("cpu")
    monkeypatch.setenv(AUTO_DEVICE, "abacus")
    with pytest.raises(DeviceError, match="abacus"):
        choose_device("auto")
    assert choose_device("cpu") == torch.device("cpu")


def test_auto_is_a_device_that_exists(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(AUTO_DEVICE, raising=False)
    assert float(torch.ones(2, device=choose_device("auto")).sum()) == 2
