"""numba at work: from Python loops to machine code. Imported only by the process that compiles."""

import importlib
from collections.abc import Callable
from pathlib import Path

from numba import njit, types

from lasnn.compiled.machine_code import LOOPS, Code, write

TYPES = {
    "f*": types.CPointer(types.float32),
    "d*": types.CPointer(types.float64),
    "u*": types.CPointer(types.uint16),
    "i*": types.CPointer(types.int32),
    "i": types.intp,
    "f": types.float32,
}
KERNELS: dict[str, tuple[Callable, str]] = {}


def kernel(signature: str, name: str | None = None) -> Callable[[Callable], Callable]:
    """Register a loop to be compiled for arguments such as "f* f* i f": pointers, whole numbers, floats."""

    def register(function: Callable) -> Callable:
        KERNELS[name or function.__name__] = function, signature
        return function

    return register


def compile_to(path: str, *names: str) -> None:
    """Write the machine code of all loops, or of these only, to a file."""
    for module in LOOPS:
        importlib.import_module(f"lasnn.compiled.{module}")
    code: Code = {name: _compiled(*KERNELS[name]) for name in names or KERNELS}
    write(Path(path), code)


def _compiled(function: Callable, signature: str) -> tuple[str, str, bytes]:
    words = signature.split()
    made = njit(
        types.void(*(TYPES[word] for word in words)),
        error_model="numpy",
        boundscheck=False,
        no_cpython_wrapper=True,
        no_cfunc_wrapper=True,
    )(function)
    (result,) = made.overloads.values()
    kinds = "".join("p" if "*" in word else word for word in words)
    return result.fndesc.llvm_func_name, kinds, bytes(result.library._get_compiled_object())
