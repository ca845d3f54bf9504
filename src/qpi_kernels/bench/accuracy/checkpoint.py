"""Folder of the accuracy benchmark: the report so far, and a prior."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from pathlib import Path

from qpi_kernels.bench.accuracy.kernels import TEST_SEED, held_out_families
from qpi_kernels.bench.accuracy.report import AccuracyReport, AccuracySettings
from qpi_kernels.bench.work_folder import read_json, write_json
from qpi_kernels.models.folder_files import ModelFormatError
from qpi_kernels.models.kernel_prior import KernelPrior, bundled_prior
from qpi_kernels.progress import Event
from qpi_kernels.simulate.kernel_sampler import KernelSampler
from qpi_kernels.train.prior_fit import PriorFit

__all__ = ["AccuracyBenchError", "AccuracyFolder"]

_REPORT = "accuracy.json"
_PRIOR = "held_out_library.safetensors"


class AccuracyBenchError(ValueError):
    """A benchmark can not be done as asked; the message says what to change."""


class AccuracyFolder:
    """The folder that a benchmark can go on in.

    Parameters
    ----------
    folder : path-like
        Made with the first file.
    """

    def __init__(self, folder: str | Path) -> None:
        self._folder = Path(folder)

    def read(self, settings: AccuracySettings) -> AccuracyReport | None:
        """Read the report of an earlier session, None if there was none.

        Raises
        ------
        AccuracyBenchError
            If it is unreadable or has other settings.
        """
        path = self._folder / _REPORT
        found = read_json(path, AccuracyReport, AccuracyBenchError)
        if found is not None and found.settings != settings:
            raise AccuracyBenchError(
                f"{self._folder} holds a benchmark with other settings ({path.name}); choose "
                "another folder"
            )
        return found

    def write(self, report: AccuracyReport) -> None:
        """Replace the report."""
        write_json(self._folder / _REPORT, report)

    def held_out_prior(self, kernels: int) -> Generator[Event, None, KernelPrior]:
        """Fit a prior to kernels without the held-out families, or read the one kept here.

        Fitted as the bundled one, and kept in the folder.

        Parameters
        ----------
        kernels : int
            How many simulated kernels it is fitted to.

        Returns
        -------
        KernelPrior
            The prior.

        Yields
        ------
        Event
            The fit's.
        """
        seed = int(bundled_prior().description["seed"])
        if seed == TEST_SEED:
            raise AccuracyBenchError("the bundled prior is made of the test kernels")
        library = KernelSampler(seed=seed).without(*held_out_families())
        fit = PriorFit(library, kernels)
        asked = {
            "families": list(library.families),
            "seed": seed,
            "kernels": fit.count,
        }
        kept = self._kept_prior(asked)
        if kept is None:
            while not fit.done:
                event = fit.step()
                message = f"Making the prior: {event.message}, {event.step} of {event.total}"
                yield replace(event, message=message)
            self._folder.mkdir(parents=True, exist_ok=True)
            # From the file, so that a session that goes on has the same rounded numbers.
            kept = KernelPrior.load(fit.result.save(self._folder / _PRIOR))
        return kept

    def _kept_prior(self, asked: dict[str, object]) -> KernelPrior | None:
        """Read the prior kept in the folder, if it was fitted as asked."""
        path = self._folder / _PRIOR
        if not path.exists():
            return None
        try:
            found = KernelPrior.load(path)
        except ModelFormatError:
            return None
        same = all(found.description.get(name) == value for name, value in asked.items())
        return found if same else None
