"""`Step`: one change of an image, with its parameters."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, Self

import xarray as xr
from pydantic import BaseModel, ConfigDict

from qpi_kernels.prepare.prepared import Prepared

__all__ = ["Step"]

_WORD = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


class Step(BaseModel, ABC):
    """A step of the preparation; its fields are its parameters.

    Subclasses write `change`. They name units in ``json_schema_extra["unit"]`` and help in the
    description of a field, as forms and ``--help`` show them.
    """

    channels: ClassVar[tuple[str, ...]] = ()
    """Other channels of the scan that the step reads, such as ``topography``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @classmethod
    def name(cls) -> str:
        """Return the step's key in reports and histories, such as ``correct_drift``."""
        return _WORD.sub("_", cls.__name__).lower()

    @classmethod
    def for_image(cls, image: xr.DataArray) -> Self:
        """Make the step with which a form begins; a step without all defaults looks at the image.

        Parameters
        ----------
        image : xarray.DataArray
            ``(y, x)`` or ``(bias, y, x)``.
        """
        return cls()

    @abstractmethod
    def change(self, scan: Prepared) -> tuple[Prepared, Mapping[str, Any]]:
        """Apply the step.

        A step that moves pixels moves mask and defects with them; one that finds bad pixels only
        changes the mask. Values are never invented. Cubes take their parameters from one plane or
        the mean, the same for all biases.

        Parameters
        ----------
        scan : Prepared
            What came before; it is not changed.

        Returns
        -------
        Prepared
            Image, mask and defects after the step; report and history are added by `apply`.
        mapping of str to object
            Numbers that the step found or changed, with their units in the names.

        Raises
        ------
        PreparationError
            If the image can not be changed like this.
        """

    def apply(self, scan: Prepared) -> Prepared:
        """Apply the step and record it in the report and the history; errors as for `change`.

        The report's key is the step's name, with ``_2`` and so on when it comes again.
        """
        changed, found = self.change(scan)
        done = {"step": self.name(), **self.model_dump(mode="json")}
        times = 1 + sum(entry["step"] == self.name() for entry in scan.history)
        key = self.name() if times == 1 else f"{self.name()}_{times}"
        return replace(
            changed,
            report={**changed.report, key: found},
            history=(*scan.history, done),
        )
