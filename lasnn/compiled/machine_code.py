"""Compiling the loops once for each machine, and calling them ever after without importing numba.

numba compiles the functions of `LOOPS` to machine code, which is kept in a file named by a digest of all that it
depends on: the loops' source, the versions of numba and llvmlite, Python's, and the processor with its features.
Later processes load that file with llvmlite alone, in a tenth of the time that importing numba takes. A process of its
own compiles, without the user's `NUMBA_*` variables and `.numba_config.yaml`: they change none of the loops' bytes.
"""

import ctypes
import functools
import hashlib
import importlib.metadata
import io
import os
import platform
import stat
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

LOOPS = ("scan_loops", "event_loops")  # modules of this package, imported only to be compiled
SOURCES = (*LOOPS, "vectors", "compiling", "machine_code")
Code = dict[str, tuple[str, str, bytes]]  # name -> symbol, types of the arguments, object file
C_TYPES = {"p": ctypes.c_void_p, "i": ctypes.c_ssize_t, "f": ctypes.c_float}
_reason: str | None = None


@functools.cache
def library() -> SimpleNamespace | None:
    """The compiled loops as functions of tensors and numbers, compiled now if this machine has none yet."""
    global _reason
    if os.environ.get("LASNN_KERNELS") == "off":
        _reason = "LASNN_KERNELS is off"
        return None
    try:
        return _load(_cached(folder()))
    except Exception as error:
        _reason = f"{type(error).__name__}: {error}".splitlines()[0]
        return None


def loops() -> SimpleNamespace:
    """`library()` where there must be one."""
    found = library()
    assert found is not None, _reason
    return found


def reason() -> str | None:
    """Why `library()` is None, in one line."""
    return _reason


def described() -> str:
    """What made the loops' code, or why there are none: for provenance."""
    if library() is None:
        return f"none: {_reason}"
    import llvmlite.binding as llvm

    numba, llvmlite = map(importlib.metadata.version, ("numba", "llvmlite"))
    return f"numba {numba}, llvmlite {llvmlite}, {llvm.get_host_cpu_name()}"


def folder() -> Path:
    """Where machine code is kept: the user's cache, or a folder of the user's own among the temporary ones."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"))  # "~" stays where nobody knows it
    own = Path(tempfile.gettempdir()) / f"lasnn-{os.getuid() if hasattr(os, 'getuid') else 'kernels'}"
    for place in (base / "lasnn", own) if base.is_absolute() else (own,):
        try:
            place.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError:
            continue
        if _ours(place) and os.access(place, os.W_OK):
            return place
    raise OSError(f"no folder for compiled code can be written: neither {base / 'lasnn'} nor {own}")


def _ours(path: Path) -> bool:
    """Whether nobody else can have put machine code there."""
    if not hasattr(os, "getuid"):
        return True
    found = path.lstat()
    return found.st_uid == os.getuid() and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _digest() -> str:
    import llvmlite.binding as llvm

    features = llvm.get_host_cpu_features().flatten()
    words = [importlib.metadata.version(name) for name in ("numba", "llvmlite")]
    words += [sys.version, platform.platform(), llvm.get_host_cpu_name(), features]
    digest = hashlib.sha256("\n".join(words).encode())
    for name in SOURCES:
        digest.update(Path(__file__).with_name(f"{name}.py").read_bytes())
    return digest.hexdigest()[:32]


def _cached(place: Path) -> Code:
    """The machine code of the loops, compiled if need be, by one process of those that want it."""
    path = place / f"kernels-{_digest()}.bin"
    if (code := read(path)) is not None:
        return code
    with open(place / "lock", "a") as lock:
        try:
            import fcntl

            fcntl.flock(lock, fcntl.LOCK_EX)  # given back when the file is closed, also by a killed process
        except (ImportError, OSError):
            pass  # then each process compiles for itself
        if (code := read(path)) is None:
            compile_into(path)
            code = read(path)
    assert code is not None, path
    return code


def compile_into(path: Path, *names: str) -> None:
    """Let another process compile all loops, or these, into a file; RuntimeError with its last line if it can't."""
    script = "import sys; from lasnn.compiled.compiling import compile_to; compile_to(*sys.argv[1:])"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("NUMBA_")}
    places = [str(Path(__file__).resolve().parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment |= {"PYTHONPATH": os.pathsep.join(places), "PYTHONSAFEPATH": "1"}
    call = [sys.executable, "-c", script, str(path), *names]
    made = subprocess.run(call, env=environment, cwd=path.parent, capture_output=True, text=True, check=False)
    if made.returncode:
        raise RuntimeError((made.stderr.strip().splitlines() or [f"status {made.returncode}"])[-1])


def write(path: Path, code: Code) -> None:
    """A digest, then a zip archive: whole or not there."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, (symbol, types, machine_code) in code.items():
            archive.writestr(f"{name} {symbol} {types}", machine_code)
    content = buffer.getvalue()
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        file.write(hashlib.sha256(content).digest() + content)
    os.replace(file.name, path)


def read(path: Path) -> Code | None:
    """The machine code of a whole file of our own; None if there is none."""
    if not path.exists() or not _ours(path):
        return None
    content = path.read_bytes()
    if hashlib.sha256(content[32:]).digest() != content[:32]:
        return None
    with zipfile.ZipFile(io.BytesIO(content[32:])) as archive:
        names = {entry: entry.split(" ") for entry in archive.namelist()}
        return {name: (symbol, types, archive.read(entry)) for entry, (name, symbol, types) in names.items()}


def _load(code: Code) -> SimpleNamespace:
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    # The loops allocate nothing and raise nothing, but their code names what would do so.
    abort = ctypes.cast(ctypes.CDLL(None).abort, ctypes.c_void_p).value
    for name in ("NRT_MemInfo_call_dtor", "NRT_incref", "NRT_decref"):
        llvm.add_symbol(name, abort)
    engine = llvm.create_mcjit_compiler(
        llvm.parse_assembly(""), llvm.Target.from_default_triple().create_target_machine(jit=True)
    )
    for _, _, machine_code in code.values():
        engine.add_object_file(llvm.ObjectFileRef.from_data(machine_code))
    engine.finalize_object()
    functions = SimpleNamespace(_engine=engine)
    for name, (symbol, types, _) in code.items():
        setattr(functions, name, _function(name, engine.get_function_address(symbol), types))
    return functions


def _function(name: str, address: int, types: str) -> Callable[..., None]:
    """numba's calling convention: places for the result and an exception first, a status back. The GIL is free.

    A tensor is given by its address, None by 0. RuntimeError if the status says that the loop raised.
    """
    call = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p, *(C_TYPES[kind] for kind in types))(
        address
    )
    result, exception = (ctypes.c_int64 * 2)(), (ctypes.c_int64 * 2)()  # nothing ever reads them

    def run(*arguments: Any) -> None:
        passed = [value.data_ptr() if hasattr(value, "data_ptr") else value for value in arguments]
        if status := call(result, exception, *passed):
            raise RuntimeError(f"compiled loop {name}: numba's status {status}; LASNN_KERNELS=off goes without loops")

    return run


@functools.lru_cache(maxsize=1)
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads)


def over(parts: int, threads: int, work: Callable[[int, int], None]) -> None:
    """`work(start, end)` on all of range(parts), cut into one piece for each thread.

    Only for work whose pieces write different memory, so that the result is the same for any number of threads.
    """
    threads = min(threads, parts)
    if threads <= 1:
        return work(0, parts)
    cuts = [parts * piece // threads for piece in range(threads + 1)]
    for done in [_pool(threads).submit(work, *cut) for cut in pairwise(cuts)]:
        done.result()
    return None
