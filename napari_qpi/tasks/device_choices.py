"""The devices that a form offers."""

from __future__ import annotations

import sys
from typing import Any

__all__ = ["device_choices"]


def device_choices() -> list[tuple[str, str]]:
    """List the devices, in words and by name; before torch is loaded, those that always exist."""
    found = [("auto (a GPU when there is one)", "auto"), ("cpu", "cpu")]
    torch: Any = sys.modules.get("torch")
    # A module that another thread is still importing has not all of its parts.
    if torch is not None and hasattr(torch, "backends"):
        found += [
            (f"cuda:{index}: {torch.cuda.get_device_name(index)}", f"cuda:{index}")
            for index in range(torch.cuda.device_count())
        ]
        if torch.backends.mps.is_available():
            found.append(("mps", "mps"))
    return found
