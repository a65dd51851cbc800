"""How this process gets its memory from the system."""

import ctypes
import sys

# mallopt parameters of glibc's malloc.h
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4


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
