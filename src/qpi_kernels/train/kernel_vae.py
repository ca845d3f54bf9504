"""The kernel VAE that alignment builds on, and which one it was."""

from __future__ import annotations

import hashlib
from pathlib import Path

from diffusers import AutoencoderKL

from qpi_kernels.models.folder_files import file_digest
from qpi_kernels.models.representation import KernelRepresentation
from qpi_kernels.train.files.card import StageRecord
from qpi_kernels.train.files.checkpoints import restore_folder
from qpi_kernels.train.parameters import TrainingError

__all__ = ["check_kernel_vae", "kernel_vae_identity", "read_kernel_vae"]

_WEIGHTS = "diffusion_pytorch_model.safetensors"


def read_kernel_vae(folder: Path, representation: KernelRepresentation) -> AutoencoderKL:
    """Read the kernel VAE that the first stage kept.

    Parameters
    ----------
    folder : Path
        Holds the folders of all stages.
    representation : KernelRepresentation
        How the next stage sees kernels.

    Raises
    ------
    TrainingError
        If there is none, or it was trained on another representation.
    """
    trained = _trained(folder)
    restore_folder(trained)
    if not (trained / "config.json").exists():
        raise TrainingError(f"{trained} is missing: train the stage 'kernels' into {folder} first")
    record = StageRecord.read(trained)
    if record is not None and record.sizes.representation != representation:
        raise TrainingError(
            f"{trained} sees kernels as {record.sizes.representation}, not {representation}: train "
            "both stages with the same preset"
        )
    return AutoencoderKL.from_pretrained(trained, use_safetensors=True).eval()


def kernel_vae_identity(folder: Path, representation: KernelRepresentation) -> str:
    """Hash the kernel VAE's weights and its representation by SHA-256; arguments as before."""
    weights = file_digest(_trained(folder) / _WEIGHTS)
    return hashlib.sha256(f"{weights} {representation.model_dump_json()}".encode()).hexdigest()


def check_kernel_vae(aligned_with: str, found: str, folder: Path) -> None:
    """Refuse an encoder that was aligned with the latents of another kernel VAE.

    Parameters
    ----------
    aligned_with, found : str
        From `kernel_vae_identity`; an alignment of older code does not know its own (empty).
    folder : Path
        Holds the folders of all stages.

    Raises
    ------
    TrainingError
        If they differ.
    """
    if aligned_with and aligned_with != found:
        raise TrainingError(
            f"the kernel VAE in {_trained(folder)} has changed since its alignment began: the "
            "encoder was aligned with another; remove the folder 'alignment' and train it anew"
        )


def _trained(folder: Path) -> Path:
    return folder / "kernels" / "best"
