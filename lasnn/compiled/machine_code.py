"""The compiled loops: functions of numba's on views of tensors, compiled once for each machine.

numba keeps the machine code in a folder of ours. Its name is a digest of all that changes a byte of that code: the
loops' source, the versions of Python, numba and llvmlite, and the processor with its features. The user's `NUMBA_*`
variables change none: the loops are compiled and read under settings of their own.
"""

import contextlib
import functools
import hashlib
import importlib
import importlib.metadata
import os
import platform
import shutil
import stat
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

LOOPS = ("scan_loops", "event_loops")  # modules of this package, imported only to be compiled
SOURCES = (*LOOPS, "vectors", "compiling", "machine_code")
SETTINGS = {  # numba's own defaults of what changes the code that it makes; no name: of the processor that it finds
    "CPU_NAME": None,
    "CPU_FEATURES": None,
    "OPT": 3,
    "LOOP_VECTORIZE": 1,
    "SLP_VECTORIZE": 0,
    "DISABLE_JIT": 0,
    "CACHE_LOCATOR_CLASSES": "",
}
WHOLE = "whole"  # name of the file that lists a complete cache's files with their digests
_reason: str | None = None


class Loops:
    """The compiled loops by name, as functions of arrays and numbers. Each is read when it is first asked for.

    That takes numba a hundredth of a second, and a process needs few of them.
    """

    def __init__(self, cache: Path):
        self._cache, self._lock = cache, threading.Lock()

    def __getattr__(self, name: str) -> Callable[..., Any]:
        with self._lock:
            if name not in vars(self):
                with _own_settings(self._cache):
                    setattr(self, name, importlib.import_module("lasnn.compiled.compiling").compiled(name))
        loop: Callable[..., Any] = vars(self)[name]
        return loop


@functools.cache
def library() -> Loops | None:
    """The compiled loops, made now if this machine has none yet; None where there can be none: see `reason`."""
    global _reason
    if os.environ.get("LASNN_KERNELS") == "off":
        _reason = "LASNN_KERNELS is off"
        return None
    try:
        return _load(folder())
    except Exception as error:
        _reason = f"{type(error).__name__}: {error}".splitlines()[0]
        return None


def loops() -> Loops:
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
    return f"numba {_version('numba')}, llvmlite {_version('llvmlite')}, {_processor()[0]}"


# ---- where the code is kept ------------------------------------------------------------------------------------------


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


def _version(package: str) -> str:
    return importlib.metadata.version(package)


def _processor() -> tuple[str, str]:
    """LLVM's name of the processor, and its features."""
    import llvmlite.binding as llvm

    return llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()


def _digest() -> str:
    """Of all that changes the machine code, and of the sources' place, which numba keeps apart."""
    here = Path(__file__)
    words = [_version("numba"), _version("llvmlite"), sys.version, platform.platform(), *_processor(), str(here.parent)]
    digest = hashlib.sha256("\n".join(words).encode())
    for name in SOURCES:
        digest.update(here.with_name(f"{name}.py").read_bytes())
    return digest.hexdigest()[:32]


def whole(cache: Path) -> bool:
    """Whether a cache is complete, undamaged and the user's own."""
    try:
        return _ours(cache) and (cache / WHOLE).read_text() == listed(cache)
    except OSError:
        return False


def listed(cache: Path) -> str:
    """The files of a cache with their digests."""
    files = sorted(path for path in cache.rglob("*.nb?") if path.is_file())
    return "".join(f"{hashlib.sha256(path.read_bytes()).hexdigest()} {path.relative_to(cache)}\n" for path in files)


# ---- compiling and reading it ----------------------------------------------------------------------------------------


def _load(place: Path) -> Loops:
    """The loops, compiled and tried if need be, by one process of those that want them."""
    cache = place / f"loops-{_digest()}"
    if "numba" in sys.modules:
        _check_settings()
    with _own_settings(cache):
        _check_settings()
        for module in LOOPS:
            importlib.import_module(f"lasnn.compiled.{module}")
    loops = Loops(cache)
    if whole(cache):
        _ = loops.count  # numba chooses its target with the first function: now, under these settings
        return loops
    with _alone(place / "lock"):
        if not whole(cache):
            shutil.rmtree(cache, ignore_errors=True)
            cache.mkdir(mode=0o700)
            from lasnn.compiled.compiling import KERNELS, tried

            for name in KERNELS:
                tried(name, getattr(loops, name))
            (cache / WHOLE).write_text(listed(cache))
    return loops


@contextlib.contextmanager
def _alone(lock: Path) -> Iterator[None]:
    with open(lock, "a") as file:
        try:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX)  # given back when the file is closed, also by a killed process
        except (ImportError, OSError):
            pass  # then each process compiles for itself
        yield


@contextlib.contextmanager
def _own_settings(cache: Path) -> Iterator[None]:
    """Inside, numba has this cache, and its own defaults for all that changes its code, whatever the user set."""
    theirs = {name: value for name, value in os.environ.items() if name.startswith("NUMBA_")}
    ours = {f"NUMBA_{name}": str(value) for name, value in SETTINGS.items() if value is not None}
    ours["NUMBA_CACHE_DIR"] = str(cache)
    _replace(theirs, ours)
    try:
        from numba.core import config

        config.reload_config()
        yield
    finally:
        _replace(ours, theirs)
        config.reload_config()


def _check_settings() -> None:
    """ImportError where numba has other settings: what it was loaded with before can't be undone."""
    from numba.core import config

    for name, expected in SETTINGS.items():
        if (value := getattr(config, name)) != expected:
            raise ImportError(f"numba has NUMBA_{name}={value} in this process, or in .numba_config.yaml: unset it")


def _replace(old: dict[str, str], new: dict[str, str]) -> None:
    """Put some environment variables in place of others."""
    for name in old:
        del os.environ[name]
    os.environ.update(new)


# ---- threads ---------------------------------------------------------------------------------------------------------


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
