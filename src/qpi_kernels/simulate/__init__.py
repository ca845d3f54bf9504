"""Simulated kernels, maps and data sets with known truth.

The way of the data: `bands` -> `single_defect` -> `KernelLibrary` -> `observe` -> data sets.
Everything is imported on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qpi_kernels.simulate.bands import Band as Band
    from qpi_kernels.simulate.bands import BismuthTellurideIodide as BismuthTellurideIodide
    from qpi_kernels.simulate.bands import CuprateSuperconductor as CuprateSuperconductor
    from qpi_kernels.simulate.bands import CustomBand as CustomBand
    from qpi_kernels.simulate.bands import DiracBand as DiracBand
    from qpi_kernels.simulate.bands import EllipticBand as EllipticBand
    from qpi_kernels.simulate.bands import GrapheneBand as GrapheneBand
    from qpi_kernels.simulate.bands import HamiltonianError as HamiltonianError
    from qpi_kernels.simulate.bands import NematicPockets as NematicPockets
    from qpi_kernels.simulate.bands import ParabolicBand as ParabolicBand
    from qpi_kernels.simulate.bands import RashbaBand as RashbaBand
    from qpi_kernels.simulate.bands import RotatedBand as RotatedBand
    from qpi_kernels.simulate.bands import SquareBand as SquareBand
    from qpi_kernels.simulate.bands import TriangularBand as TriangularBand
    from qpi_kernels.simulate.bands import WannierBand as WannierBand
    from qpi_kernels.simulate.bands import WannierFormatError as WannierFormatError
    from qpi_kernels.simulate.bands import WarpedBand as WarpedBand
    from qpi_kernels.simulate.bands import read_wannier_hr as read_wannier_hr
    from qpi_kernels.simulate.cores import CoreShape as CoreShape
    from qpi_kernels.simulate.datasets.batches import BatchParameters as BatchParameters
    from qpi_kernels.simulate.datasets.batches import SimulatedBatches as SimulatedBatches
    from qpi_kernels.simulate.datasets.entries import dataset_defects as dataset_defects
    from qpi_kernels.simulate.datasets.entries import paper_activation as paper_activation
    from qpi_kernels.simulate.datasets.labels import published_fold as published_fold
    from qpi_kernels.simulate.datasets.protocol import PaperProtocol as PaperProtocol
    from qpi_kernels.simulate.datasets.protocol import ProtocolError as ProtocolError
    from qpi_kernels.simulate.datasets.protocol_parameters import (
        ProtocolParameters as ProtocolParameters,
    )
    from qpi_kernels.simulate.datasets.public_layout import public_csv_path as public_csv_path
    from qpi_kernels.simulate.datasets.public_layout import write_public_csv as write_public_csv
    from qpi_kernels.simulate.datasets.public_lines import DatasetFormatError as DatasetFormatError
    from qpi_kernels.simulate.datasets.read_dataset import read_qpi_dataset as read_qpi_dataset
    from qpi_kernels.simulate.families import FAMILIES as FAMILIES
    from qpi_kernels.simulate.families import Recipe as Recipe
    from qpi_kernels.simulate.green import SimulationError as SimulationError
    from qpi_kernels.simulate.impurities import ClusterImpurity as ClusterImpurity
    from qpi_kernels.simulate.impurities import GaussianImpurity as GaussianImpurity
    from qpi_kernels.simulate.impurities import Impurity as Impurity
    from qpi_kernels.simulate.impurities import MagneticImpurity as MagneticImpurity
    from qpi_kernels.simulate.impurities import PhaseShiftImpurity as PhaseShiftImpurity
    from qpi_kernels.simulate.impurities import PointImpurity as PointImpurity
    from qpi_kernels.simulate.instrument import EnergyResolution as EnergyResolution
    from qpi_kernels.simulate.instrument import SetPoint as SetPoint
    from qpi_kernels.simulate.library import KernelLibrary as KernelLibrary
    from qpi_kernels.simulate.maps.annotation import Annotation as Annotation
    from qpi_kernels.simulate.maps.annotation import annotate as annotate
    from qpi_kernels.simulate.maps.artefact_mixture import draw_artefacts as draw_artefacts
    from qpi_kernels.simulate.maps.artefacts import Artefacts as Artefacts
    from qpi_kernels.simulate.maps.artefacts import apply_artefacts as apply_artefacts
    from qpi_kernels.simulate.maps.artefacts import drifted as drifted
    from qpi_kernels.simulate.maps.observation import ObservationError as ObservationError
    from qpi_kernels.simulate.maps.observation import observe as observe
    from qpi_kernels.simulate.maps.observation import superpose as superpose
    from qpi_kernels.simulate.maps.placement import Placement as Placement
    from qpi_kernels.simulate.maps.placement import PlacementError as PlacementError
    from qpi_kernels.simulate.maps.placement import on_lattice as on_lattice
    from qpi_kernels.simulate.maps.placement import place_defects as place_defects
    from qpi_kernels.simulate.maps.placement import scatter_defects as scatter_defects
    from qpi_kernels.simulate.maps.scan_drift import DriftError as DriftError
    from qpi_kernels.simulate.materials import MATERIALS as MATERIALS
    from qpi_kernels.simulate.materials import Material as Material
    from qpi_kernels.simulate.scattering import multiple_defects as multiple_defects
    from qpi_kernels.simulate.scattering import single_defect as single_defect
    from qpi_kernels.simulate.scene import Scene as Scene
    from qpi_kernels.simulate.scene import SceneSimulation as SceneSimulation
    from qpi_kernels.simulate.scene import scene_dataset as scene_dataset
    from qpi_kernels.simulate.scene import simulate_scene as simulate_scene
    from qpi_kernels.simulate.scene_parameters import SceneParameters as SceneParameters

_BANDS = (
    "Band",
    "BismuthTellurideIodide",
    "CuprateSuperconductor",
    "CustomBand",
    "DiracBand",
    "EllipticBand",
    "GrapheneBand",
    "NematicPockets",
    "ParabolicBand",
    "RashbaBand",
    "RotatedBand",
    "SquareBand",
    "TriangularBand",
    "WannierBand",
    "WarpedBand",
    "HamiltonianError",
    "WannierFormatError",
    "read_wannier_hr",
)
_IMPURITIES = (
    "ClusterImpurity",
    "GaussianImpurity",
    "MagneticImpurity",
    "PhaseShiftImpurity",
    "PointImpurity",
)
_HOMES = {
    **dict.fromkeys(_BANDS, "bands"),
    **dict.fromkeys(_IMPURITIES, "impurities"),
    "Annotation": "maps.annotation",
    "Artefacts": "maps.artefacts",
    "BatchParameters": "datasets.batches",
    "PlacementError": "maps.placement",
    "ObservationError": "maps.observation",
    "DriftError": "maps.scan_drift",
    "ProtocolError": "datasets.protocol",
    "Impurity": "impurities",
    "write_public_csv": "datasets.public_layout",
    "public_csv_path": "datasets.public_layout",
    "published_fold": "datasets.labels",
    "CoreShape": "cores",
    "DatasetFormatError": "datasets.public_lines",
    "EnergyResolution": "instrument",
    "FAMILIES": "families",
    "KernelLibrary": "library",
    "MATERIALS": "materials",
    "Material": "materials",
    "PaperProtocol": "datasets.protocol",
    "Placement": "maps.placement",
    "ProtocolParameters": "datasets.protocol_parameters",
    "Recipe": "families",
    "Scene": "scene",
    "SceneParameters": "scene_parameters",
    "SceneSimulation": "scene",
    "SetPoint": "instrument",
    "SimulatedBatches": "datasets.batches",
    "SimulationError": "green",
    "annotate": "maps.annotation",
    "apply_artefacts": "maps.artefacts",
    "dataset_defects": "datasets.entries",
    "draw_artefacts": "maps.artefact_mixture",
    "drifted": "maps.artefacts",
    "multiple_defects": "scattering",
    "observe": "maps.observation",
    "on_lattice": "maps.placement",
    "paper_activation": "datasets.entries",
    "place_defects": "maps.placement",
    "read_qpi_dataset": "datasets.read_dataset",
    "scatter_defects": "maps.placement",
    "scene_dataset": "scene",
    "simulate_scene": "scene",
    "single_defect": "scattering",
    "superpose": "maps.observation",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
