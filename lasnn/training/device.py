"""The device that a run computes on, set up as its settings ask, and the precision of products there (`compute.amp`).

Potentials, losses and evaluation stay float32. With `bf16` on a GPU the forward pass of the network that is trained is
in bfloat16; what is left in float32, such as a teacher's products and the readout's, is in TF32, as all products are
with `tf32`.
"""

import contextlib
import ctypes
import os
import sys
from collections.abc import Iterator

import torch

from lasnn.compiled import library
from lasnn.compiled.machine_code import described
from lasnn.compiled.products import bfloat16, onednn, precision
from lasnn.errors import InputError
from lasnn.plan.settings import Compute

# mallopt parameters of glibc's malloc.h
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4


def device_of(name: str) -> torch.device:
    """The device that `auto`, `cpu` or `cuda` means here."""
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("device cuda was asked for, but torch finds no CUDA device here: use --device cpu or auto")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def set_up(device: torch.device, compute: Compute) -> None:
    """Threads, allocator and determinism of this process; InputError if the device lacks what `amp` asks for."""
    torch.set_num_threads(compute.threads)
    keep_freed_memory()
    if device.type == "cuda":  # on the CPU every operation that is used here is deterministic as it is
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        # mypy doesn't see it: torch makes it a property of the module when that is loaded
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
        torch.use_deterministic_algorithms(compute.deterministic, warn_only=True)
        torch.backends.cudnn.allow_tf32 = False  # torch's default for convolutions: not what `amp: off` says
    check_precision(compute.amp, device)


def keep_freed_memory() -> bool:
    """Let the process keep what it frees, instead of handing large blocks back and having them zeroed anew.

    Every training step frees and takes the same large tensors. By default glibc maps each of them afresh, and the first
    touch of every page costs about as much as the arithmetic on it. Only glibc has this switch;
    elsewhere nothing happens. Returns whether it was set.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another C library
        return False
    return all([mallopt(M_MMAP_MAX, 0), mallopt(M_TRIM_THRESHOLD, 2**31 - 1), mallopt(M_TOP_PAD, 64 << 20)])


def check_precision(amp: str, device: torch.device) -> None:
    """InputError if products can't have this precision here."""
    if device.type == "cuda":
        if amp == "bf16_grad":
            raise InputError("compute.amp bf16_grad was asked for on cuda: it is for a CPU; use bf16, tf32 or off")
        if amp == "bf16" and not torch.cuda.is_bf16_supported():
            name = torch.cuda.get_device_name()
            raise InputError(f"compute.amp bf16 was asked for, but {name} lacks it: use tf32 or off")
    elif amp == "tf32":
        raise InputError(f"compute.amp tf32 was asked for on {device.type}: it needs CUDA; use bf16, bf16_grad or off")
    elif amp != "off" and not bfloat16():
        raise InputError(
            f"compute.amp {amp} was asked for, but this processor has no bfloat16 products (AVX512-BF16, AMX): use off"
        )


def implementation(device: torch.device) -> str:
    """What rounds in its own order: the GPU, or the vector units, the library of products and the loops of a CPU."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    loops = "compiled loops" if library() else "torch loops"
    return f"{torch.backends.cpu.get_cpu_capability()}, {'oneDNN' if onednn() else 'BLAS'}, {loops}"


def loops(device: torch.device) -> str:
    """What made the compiled loops of a CPU, or why there were none: numba and the processor may change their bytes."""
    return "none on a GPU" if device.type == "cuda" else described()


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
