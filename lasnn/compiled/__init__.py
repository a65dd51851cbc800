"""Compiled loops for the CPU: the scan, pools, draws and sums over events.

They know memory, numbers and nothing of networks, and write to the tensors that they are given. `library()` gives them
as functions, or None where there are none, and then `reason()` says why and torch's own operations do the work.
"""

from lasnn.compiled.machine_code import library, reason

__all__ = ["library", "reason"]
