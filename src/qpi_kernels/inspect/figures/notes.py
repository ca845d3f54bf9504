"""Notes on the origin of a saved figure's numbers."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from qpi_kernels.result import KernelResult

__all__ = ["provenance_notes"]


def provenance_notes(result: Any) -> dict[str, str]:
    """Collect file, method, trust and versions of a result, by their names.

    Parameters
    ----------
    result : KernelResult or object
        Anything else only gets the version and the time.
    """
    notes: dict[str, str] = {}
    if isinstance(result, KernelResult):
        known = result.provenance
        steps = [str(entry.get("step", "?")) for entry in known.get("preparation", [])]
        notes = {
            "file": str(known.get("file") or known.get("source") or ""),
            "channel": str(known.get("channel", "")),
            "preparation": ", ".join(steps),
            "method": str(known.get("parameters", {}).get("method", "")),
            "defects": result.defects.in_words(),
            "trust": result.quality.trust,
            "observation sha256": str(known.get("observation_sha256", "")),
            "extracted": str(known.get("created", "")),
        }
    notes["software"] = f"napari-qpi {_version()}"
    notes["written"] = datetime.now(UTC).isoformat(timespec="seconds")
    return {name: text for name, text in notes.items() if text}


def _version() -> str:
    try:
        return version("napari-qpi")
    except PackageNotFoundError:
        return "(from its source)"
