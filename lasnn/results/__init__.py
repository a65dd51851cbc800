"""Finished runs as files: whether they are what the plan asks for, and where else the same run lies. No torch.

Everyone who opens a run's folder comes here: the workflow, jobs, exhibits, `trace`, `runs`, `import`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "fits": ["RUN_FILES", "damaged", "unfit"],
        "store": ["keep", "take"],
    },
)
