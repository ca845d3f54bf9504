"""`SimulatedScanParameters`: parameters of a simulated map."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from qpi_kernels.parameters import IN_PIXELS, Count, Degrees, Parameters, PositiveCount, Volts
from qpi_kernels.simulate.bands.material import ImpurityKind
from qpi_kernels.simulate.maps.artefacts import Artefacts
from qpi_kernels.simulate.maps.placement import Placement
from qpi_kernels.simulate.materials import Material, MaterialName, known_materials

__all__ = ["SimulatedScanParameters"]


# Of the mean distance between neighbouring defects.
_HARD_CORE = 0.5
_CLUSTER = 0.3
_MAX_DEFECTS = 5000
_MAX_MULTIPLE = 200


# A field that takes the material's own value when it is left out.
_OWN: Any = None
_ImageSide = Annotated[int, Field(ge=16, le=2048)]
_KernelSide = Annotated[int, Field(ge=3, le=1025)]


class SimulatedScanParameters(Parameters):
    """Parameters of `simulate_scan`; saved with every simulated map.

    Fields that default to the material's own value are filled in: an instance never holds None.
    """

    material: MaterialName = "Ag111"
    """The material: its band, and what is left out below."""
    bias: Volts = Field(default=_OWN, ge=-5, le=5)
    """Sample bias of the map, or of the first plane of a stack. The material's own when left out.
    """
    last_bias: Volts = Field(default=_OWN, ge=-5, le=5)
    """Bias of the last plane of a stack; means nothing for a single map. The material's own when
    left out."""
    biases: PositiveCount = Field(default=1, le=1000)
    """Number of planes; more than 1 give a stack."""
    impurity: ImpurityKind = _OWN
    """The scatterer: a point potential; a phase_shift; a magnetic moment along the normal; a
    trimer, three equal potentials in a triangle; a cluster, three unequal ones without any
    symmetry. The material's own when left out."""
    strength: float = Field(default=_OWN, ge=-100, le=100, json_schema_extra={"unit": "eV nm²"})
    """Potential of the scatterer, or exchange of a magnetic one; positive repels. Means nothing for
    a phase_shift. The material's own when left out."""
    phase_deg: Degrees = Field(default=90.0, ge=-90, le=90)
    """Scattering phase of a phase_shift; positive attracts, 90 scatters most."""
    density: float = Field(default=_OWN, gt=0, le=1000, json_schema_extra={"unit": "per 100 nm²"})
    """Defects per area. The material's own when left out."""
    noise: float = Field(default=0.1, ge=0, le=100, json_schema_extra={"unit": "signal std"})
    """Standard deviation of white noise, relative to that of the signal."""
    seed: Count = Field(default=0, le=2**31 - 1)
    """Seed of places, noise and artefacts."""
    broadening: float = Field(default=_OWN, gt=0, le=1, json_schema_extra={"unit": "eV"})
    """Half-width of the states; the smaller, the further waves reach. The material's own when left
    out."""
    temperature: float = Field(default=0.0, ge=0, le=300, json_schema_extra={"unit": "K"})
    """Temperature of tip and sample: smears energies by 3.5 k_B T on top of the broadening; slower
    than 0."""
    modulation: Volts = Field(default=0.0, ge=0, le=1)
    """Lock-in modulation (rms): smears energies too."""
    pixel_nm: float = Field(default=_OWN, gt=0, le=10, json_schema_extra={"unit": "nm"})
    """Pixel pitch. The material's own when left out."""
    image_shape: Annotated[tuple[_ImageSide, _ImageSide], IN_PIXELS] = (128, 128)
    """Height and width of the map."""
    kernel_shape: Annotated[tuple[_KernelSide, _KernelSide], IN_PIXELS] = (65, 65)
    """Height and width of the true kernel that is kept. Waves in the map reach as far as they do.
    """
    arrangement: Literal["random", "hard_core", "clustered", "ordered"] = "random"
    """random: independent of each other; hard_core: random, but never close; clustered: around
    random centres; ordered: nearly filling a square lattice. On a crystal lattice defects take its
    sites."""
    margin: int = Field(default=0, ge=0, le=512, json_schema_extra={"unit": "px"})
    """Distance beyond the frame within which defects lie too, at the same density; their waves
    reach in."""
    artefacts: Literal["none", "typical"] = "none"
    """typical adds to the noise what an ordinary map shows: 1/f noise, row offsets, mains pickup,
    glitches, two tip streaks and a little drift."""
    multiple_scattering: bool = False
    """Let waves scatter from defect to defect; for point potentials only, slow."""

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, given: Any) -> Any:
        """Fill in the material's own values where a field is left out."""
        if not isinstance(given, dict):
            return given
        filled = {name: value for name, value in given.items() if value is not None}
        # An unknown name is refused by the field itself.
        known = known_materials()
        material = known.get(str(filled.get("material")), known["Ag111"])
        stack = str(filled.get("biases", 1)).strip() != "1"
        return {
            "bias": material.bias_range[0] if stack else material.bias,
            "last_bias": material.bias_range[1],
            "impurity": material.impurities[0],
            "strength": material.strength,
            "density": material.density,
            "broadening": material.broadening,
            "pixel_nm": material.pixel_nm,
        } | filled

    @model_validator(mode="after")
    def _fits_together(self) -> SimulatedScanParameters:
        """Refuse fields that do not go together."""
        material = self.known_material
        if self.impurity not in material.impurities:
            raise ValueError(
                f"{self.impurity} is no impurity for {material.label}: choose "
                f"{', '.join(material.impurities)}"
            )
        if self.biases > 1 and self.bias == self.last_bias:
            raise ValueError("first and last bias are the same: change one, or ask for 1 bias")
        if not 1 <= self.defect_count <= _MAX_DEFECTS:
            raise ValueError(
                f"{self.density:g} per 100 nm² make {self.defect_count} defects in a map of "
                f"{self.area_nm2:.4g} nm²; change the density or the image size for 1 to "
                f"{_MAX_DEFECTS}"
            )
        if self.multiple_scattering:
            if self.impurity != "point":
                raise ValueError("multiple scattering needs point impurities")
            if self.defect_count > _MAX_MULTIPLE:
                raise ValueError(
                    f"multiple scattering takes at most {_MAX_MULTIPLE} defects, not "
                    f"{self.defect_count}: lower the density or the image size"
                )
        return self

    @property
    def known_material(self) -> Material:
        """The material itself."""
        return known_materials()[self.material]

    @property
    def bias_values(self) -> NDArray[np.float64]:
        """Bias of each plane in V, (biases,)."""
        return np.linspace(self.bias, self.last_bias, self.biases)

    @property
    def area_nm2(self) -> float:
        """Area that defects are spread over in nm^2: the map, with its margin."""
        rows, columns = (size + 2 * self.margin for size in self.image_shape)
        return rows * columns * self.pixel_nm**2

    @property
    def defect_count(self) -> int:
        """Number of defects in the map and its margin."""
        return round(self.density * self.area_nm2 / 100)

    def at(self, bias: float) -> SimulatedScanParameters:
        """Return the same scan as a single map at one bias in V."""
        return self.model_copy(update={"bias": float(bias), "biases": 1})

    def placement(self) -> Placement:
        """Return the placement of the defects, for `place_defects`."""
        spacing = float(np.sqrt(self.area_nm2 / self.defect_count)) / self.pixel_nm
        return Placement(
            count=self.defect_count,
            margin_px=self.margin,
            arrangement=self.arrangement,
            min_distance_px=_HARD_CORE * spacing if self.arrangement == "hard_core" else 0.0,
            cluster_px=_CLUSTER * spacing,
        )

    def scan_artefacts(self) -> Artefacts:
        """Return noise and artefacts of the scan, for `apply_artefacts`."""
        if self.artefacts == "none":
            return Artefacts(noise=self.noise)
        return Artefacts.typical().model_copy(update={"noise": self.noise})
