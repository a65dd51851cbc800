"""Every random draw is a function of a seed and of what it is for.

No generator outlives its purpose, so there is nothing to restore when a training resumes, and turning one part of a
method off (the teacher, say) changes no draw of another.
"""

import hashlib

import torch


def key(*words: object) -> int:
    """A 63-bit seed from words such as `(seed, "encoder", epoch, batch)`: stable across machines and versions."""
    text = "/".join(str(word) for word in words)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(*words: object, device: torch.device | str = "cpu") -> torch.Generator:
    """A fresh generator for the purpose that the words name."""
    return torch.Generator(device).manual_seed(key(*words))
