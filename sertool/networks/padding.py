"""Tell the real frames of a batch from padding, as clips of different lengths are padded to one."""

import torch
from torch import Tensor


def real_frames(lengths: Tensor, time: int, device: torch.device) -> Tensor:
    """Return where clips have frames, bool `[clips, time]`."""
    return torch.arange(time, device=device) < lengths.to(device, non_blocking=True)[:, None]
