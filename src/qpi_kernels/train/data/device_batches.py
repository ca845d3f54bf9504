"""`DeviceBatches`: the batches of a data set that lies on the device."""

from __future__ import annotations

import torch
from torch.utils.data import Dataset

from qpi_kernels.simulate.datasets.batches import Batch
from qpi_kernels.train.dataset_batches import DatasetBatches

__all__ = ["DeviceBatches", "fits_on"]

_SHARE_OF_MEMORY = 0.3


class DeviceBatches(Dataset[Batch]):
    """The same batches as those of `DatasetBatches`, gathered on a device.

    Kernels and maps are copied once; of a batch only the numbers of its samples travel.

    Parameters
    ----------
    batches : DatasetBatches
        What to copy.
    device : torch.device
        Where to.
    """

    def __init__(self, batches: DatasetBatches, device: torch.device) -> None:
        self._batches = batches
        self._device = device
        self._kernels = torch.from_numpy(batches.kernels).to(device)
        self._folds = torch.from_numpy(batches.folds).to(device)
        self._peaks = self._kernels.abs().amax(dim=(1, 2)).clamp(min=1e-12)
        self._observations = self._activations = None
        if batches.observations is not None and batches.activations is not None:
            self._observations = torch.from_numpy(batches.observations).to(device)
            self._activations = torch.from_numpy(batches.activations).to(device)

    def __len__(self) -> int:
        return len(self._batches)

    def __getitem__(self, step: int) -> Batch:
        """Gather batch number `step`."""
        places = torch.tensor(self._batches.places(step)).to(self._device, non_blocking=True)
        numbers, samples = places
        peaks = self._peaks[numbers, None, None]
        batch = Batch(
            kernel=(self._kernels[numbers] / peaks)[:, None],
            fold=self._folds[numbers],
        )
        if self._observations is not None and self._activations is not None:
            batch["observation"] = (self._observations[numbers, samples] / peaks)[:, None]
            batch["activation"] = self._activations[numbers, samples].float()[:, None]
        return batch


def fits_on(batches: DatasetBatches, device: torch.device) -> bool:
    """Tell whether a data set takes less than a third of a CUDA device's free memory."""
    if device.type != "cuda":
        return False
    arrays = (batches.kernels, batches.observations, batches.activations)
    size = sum(array.nbytes for array in arrays if array is not None)
    free, _ = torch.cuda.mem_get_info(device)
    return size <= _SHARE_OF_MEMORY * free
