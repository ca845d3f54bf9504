"""Description of the machine that a check ran on."""

from __future__ import annotations

import os
import platform
import sys
from importlib.metadata import version
from pathlib import Path

import psutil
import torch

from qpi_kernels.train.files.card import code_version

__all__ = ["describe_machine"]

_PACKAGES = ("torch", "numpy", "scipy", "diffusers")


def describe_machine(device: str) -> dict[str, str]:
    """Describe card, processor, threads, versions and commit."""
    described = {
        "software": code_version(),
        "command": " ".join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "system": platform.platform(),
        "python": platform.python_version(),
        "processor": _processor(),
        "cores": f"{len(psutil.Process().cpu_affinity())} usable of {os.cpu_count()}"
        if hasattr(psutil.Process, "cpu_affinity")
        else str(os.cpu_count()),
        "load": ", ".join(f"{one:.1f}" for one in psutil.getloadavg()),
        "cpu_threads": "extractions compute with one thread (qpi_kernels.threads); torch has "
        f"{torch.get_num_threads()}, OMP_NUM_THREADS is {os.environ.get('OMP_NUM_THREADS')}",
        "memory_gib": f"{psutil.virtual_memory().total / 2**30:.0f}",
    }
    described |= {name: version(name) for name in _PACKAGES}
    if torch.device(device).type == "cuda":
        card = torch.cuda.get_device_properties(device)
        described |= {
            "card": card.name,
            "card_memory_gib": f"{card.total_memory / 2**30:.0f}",
            "cuda": str(torch.version.cuda),
        }
    return described


def _processor() -> str:
    """Return the processor's name, as far as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
