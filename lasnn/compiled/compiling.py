"""numba's decorator as the loops use it. Imported only where loops are."""

from collections.abc import Callable

import numpy as np
from numba import njit, types

TYPES = {
    "f*": types.float32[::1],
    "u*": types.uint16[::1],
    "i*": types.int32[::1],
    "i": types.intp,
    "f": types.float32,
}
KERNELS: dict[str, tuple[Callable, types.Type]] = {}


def kernel(signature: str, name: str | None = None, returns: types.Type = types.void) -> Callable[[Callable], Callable]:
    """Register a loop to be compiled for arguments such as "f* f* i f": arrays, whole numbers, floats.

    Its closure may hold numbers, strings and truth values only: other functions of numba's get a new key in each
    process, and would never be found in the cache.
    """

    def register(function: Callable) -> Callable:
        KERNELS[name or function.__name__] = function, returns(*(TYPES[word] for word in signature.split()))
        return function

    return register


def compiled(name: str) -> Callable:
    """A loop as machine code, from numba's cache if it is there."""
    function, wanted = KERNELS[name]
    return njit(wanted, cache=True, nogil=True, error_model="numpy", boundscheck=False)(function)


def tried(name: str, loop: Callable) -> None:
    """Call a loop on zeros: one that raises is found before a training, not in it."""
    arguments = (
        np.zeros(64, kind.dtype.name) if isinstance(kind, types.Array) else 1 for kind in KERNELS[name][1].args
    )
    try:
        loop(*arguments)
    except Exception as error:
        raise RuntimeError(f"compiled loop {name}: {type(error).__name__}: {error}") from error
