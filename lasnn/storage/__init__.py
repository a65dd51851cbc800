"""Files that are whole or absent: atomic writing, seals and digests, locks, checkpoints, provenance.

It knows neither networks nor methods nor where a run's folder lies; a checkpoint is weights by name and a mapping.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "files": ["read_json", "replacing", "sha256", "write_bytes", "write_json", "write_text"],
        "locks": ["only_writer"],
        "checkpoint": ["load", "save"],
        "provenance": ["Stopwatch", "describe"],
    },
)
