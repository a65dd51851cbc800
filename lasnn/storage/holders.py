"""Who holds a lock: host, boot and process, written down beside a lock of the system, which may lie.

On a file system with locks that every node keeps to itself, `flock` succeeds for everybody. A lock is therefore taken
only from a process that is known to be dead: of this host, in this boot or an earlier one, or of a job that Slurm knows
no more.
"""

import contextlib
import json
import os
import socket
import subprocess
from pathlib import Path

from lasnn.storage.files import Json


def myself() -> Json:
    """This process, as others can look it up."""
    number = os.getpid()
    found = {"host": host(), "boot": _boot(), "process": number, "began": _began(number)}
    return found | {"job": os.environ.get("SLURM_JOB_ID", "")}


def living(holder: Json | None) -> str | None:
    """How a holder is called if it may be at work, None if it is dead, unknown or this very process."""
    if not isinstance(holder, dict) or not isinstance(holder.get("process"), int):
        return None
    number, job = holder["process"], str(holder.get("job") or "")
    if holder.get("host") != host():
        return None if _is_over(job) else f"process {number} on {holder.get('host')}"
    if holder.get("boot") != _boot() or number == os.getpid() or _began(number) != holder.get("began"):
        return None
    return f"process {number}"


def host() -> str:
    """This machine, as others that share a folder know it."""
    return socket.gethostname().split(".")[0] or "unknown"


def _is_over(job: str) -> bool:
    """Whether a job of Slurm has ended for certain: this process is its next try, or the queue knows it no more."""
    if not job:
        return False
    if job == os.environ.get("SLURM_JOB_ID"):
        return True
    try:
        asked = subprocess.run(
            ["squeue", "--noheader", "--jobs", job], capture_output=True, text=True, check=False, timeout=30
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return not asked.stdout.strip() and (asked.returncode == 0 or "Invalid job id" in asked.stderr)


def read(path: Path | str | int) -> Json | None:
    """Who wrote a lock file; None if nobody legible did. The number of an open file will do."""
    with contextlib.suppress(OSError, ValueError):
        text = os.pread(path, 1000, 0) if isinstance(path, int) else Path(path).read_bytes()
        found = json.loads(text)
        return found if isinstance(found, dict) else None
    return None


def sign(handle: int) -> None:
    """Write this process into an open lock file; on a full disk the lock holds without its name."""
    with contextlib.suppress(OSError):
        os.truncate(handle, 0)
        os.pwrite(handle, json.dumps(myself()).encode() + b"\n", 0)


def _boot() -> str | None:
    with contextlib.suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return None


def _began(process: int) -> str | None:
    """When a living process began, in ticks since the boot; None if there is none. Numbers are given out again."""
    try:
        state, *rest = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        return None if state in "ZX" else rest[18]
    except OSError:
        pass
    if Path("/proc/self/stat").exists():
        return None
    try:  # no /proc, as on macOS
        os.kill(process, 0)
        return "unknown"
    except ProcessLookupError:
        return None
    except PermissionError:
        return "unknown"
