"""Images: from an official archive, a mirror or a folder to one prepared file, and from that to batches.

It knows no network and no run. Preparing loads no torch; only `batches` and `whole` do.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "preparation": ["prepare"],
        "arrays": ["Contents", "Prepared", "load"],
        "batches": ["Batch", "Images", "plain_batches", "scaled", "split", "training_batches"],
        "whole": ["Dataset", "dataset"],
    },
)
