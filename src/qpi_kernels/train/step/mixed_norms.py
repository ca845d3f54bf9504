"""Group normalisations that stay in bfloat16 between convolutions of mixed precision."""

from __future__ import annotations

import torch

__all__ = ["MixedGroupNorm", "use_mixed_norms"]


class MixedGroupNorm(torch.nn.GroupNorm):
    """Normalise bfloat16 to bfloat16, with sums in float32; any other type as usual.

    Autocast makes float32 of a normalisation, which the next convolution rounds to bfloat16 again:
    three times the memory traffic for nothing, and a network on a GPU waits for its memory.
    """

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Normalise images (B, channels, rows, columns)."""
        if images.dtype != torch.bfloat16:
            return super().forward(images)
        with torch.autocast(images.device.type, enabled=False):
            weight, bias = (value.to(images.dtype) for value in (self.weight, self.bias))
            return torch.nn.functional.group_norm(images, self.num_groups, weight, bias, self.eps)


def use_mixed_norms(module: torch.nn.Module) -> None:
    """Replace all group normalisations by mixed ones; weights and their names stay."""
    for parent in list(module.modules()):
        for name, child in parent.named_children():
            if type(child) is torch.nn.GroupNorm:
                mixed = MixedGroupNorm(child.num_groups, child.num_channels, child.eps)
                mixed.weight, mixed.bias = child.weight, child.bias
                setattr(parent, name, mixed.train(child.training))
