"""Tensors as the compiled loops take them."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

Array = np.ndarray[tuple[int], np.dtype[Any]]  # the numbers of a dense tensor in the order of its memory


def memory(x: Tensor | None, size: int | None = None) -> Array:
    """The numbers of a dense tensor in the order of its memory, or `size` of them: an array that shares it.

    None, for an argument that a loop doesn't read, is an array without numbers.
    """
    if x is None:
        return torch.empty(0).numpy()
    return x.detach().as_strided((x.numel() if size is None else size,), (1,)).numpy()
