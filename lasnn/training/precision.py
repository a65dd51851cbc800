"""The precision of products in a training, `compute.amp`. Potentials, losses and evaluation stay float32.

With `bf16` on a GPU the forward pass of the network that is trained is in bfloat16; what is left in float32, such as a
teacher's products and the readout's, is in TF32, as all products are with `tf32`.
"""

import contextlib
from collections.abc import Iterator

import torch

from lasnn.compiled.products import precision


def products_in(amp: str, device: str) -> contextlib.AbstractContextManager:
    """Products of the forward pass, and of its gradients, in this precision while the block runs."""
    if device == "cpu":
        return precision(amp)
    return torch.autocast(device, torch.bfloat16, enabled=amp == "bf16")


@contextlib.contextmanager
def tf32(wanted: bool) -> Iterator[None]:
    """Products and convolutions of float32 in TF32 while the block runs, or, if not wanted, in float32."""
    products, convolutions = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("high" if wanted else "highest")
    torch.backends.cudnn.allow_tf32 = wanted
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(products)
        torch.backends.cudnn.allow_tf32 = convolutions
