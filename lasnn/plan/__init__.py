"""What is to be run, as values: names of the field, settings, presets, runs and their parents.

Everything that a workflow's graph is drawn from. It knows no tensor and no file but config.yaml, so it loads without
torch, and each name below is loaded when it is first asked for.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "config": ["Config", "Preset", "dump", "read"],
        "runs": ["AnnRun", "ConvertedRun", "Run", "SnnRun", "parse"],
        "settings": ["AnnSettings", "ConvertedSettings", "Settings", "SnnSettings"],
        "vocabulary": ["ENCODERS", "KNOWN_DATASETS", "METHODS", "NETWORKS", "STUDENTS", "TEACHERS", "Architecture"],
    },
)
