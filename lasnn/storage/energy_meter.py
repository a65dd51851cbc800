"""Energy meters of the machine: RAPL counters of the processor packages, NVML's counter of one GPU.

Both count everything that runs on that part, other jobs included. A meter that can't be read is absent. No torch.
"""

import ctypes
from pathlib import Path

POWERCAP = Path("/sys/class/powercap")


class Meter:
    """Joules since its making, by meter: `cpu_packages` and `gpu`; empty where nothing can be read."""

    def __init__(self, gpu: str | None = None, powercap: Path = POWERCAP):
        self.packages = {zone: _read(zone / "energy_uj") for zone in sorted(powercap.glob("intel-rapl:?"))}
        self.gpu = gpu
        self.millijoules = _gpu_millijoules(gpu)

    def joules(self) -> dict[str, float]:
        """What was used so far."""
        found = {}
        used = [_difference(zone, start) for zone, start in self.packages.items() if start is not None]
        counted = [microjoules for microjoules in used if microjoules is not None]
        if used and len(counted) == len(used):
            found["cpu_packages"] = sum(counted) / 1e6
        if self.millijoules is not None and (now := _gpu_millijoules(self.gpu)) is not None:
            found["gpu"] = (now - self.millijoules) / 1e3
        return found


def _read(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):  # newer kernels let only root read it
        return None


def _difference(zone: Path, start: int) -> int | None:
    """Microjoules since `start`; the counter begins anew after `max_energy_range_uj` (seen at most once here)."""
    now, span = _read(zone / "energy_uj"), _read(zone / "max_energy_range_uj")
    if now is None:
        return None
    if now >= start:
        return now - start
    return None if span is None else now - start + span


def _gpu_millijoules(uuid: str | None) -> int | None:
    """NVML's total energy of the GPU with this UUID (as torch names it, without `GPU-`); None where it has none."""
    if uuid is None:
        return None
    try:
        nvml = ctypes.CDLL("libnvidia-ml.so.1")
    except OSError:
        return None
    handle, total = ctypes.c_void_p(), ctypes.c_ulonglong()
    name = f"GPU-{uuid.removeprefix('GPU-')}".encode()
    if nvml.nvmlInit_v2() or nvml.nvmlDeviceGetHandleByUUID(name, ctypes.byref(handle)):
        return None
    return None if nvml.nvmlDeviceGetTotalEnergyConsumption(handle, ctypes.byref(total)) else total.value
