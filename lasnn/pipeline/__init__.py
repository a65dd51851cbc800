"""What Snakemake and DVC ask of us: targets, freshness of what lies there, lineage, kept results, notebooks, costs.

The only room that knows either of them. It never trains: jobs do, through the command line.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "workflow": ["check_targets", "presets_of", "record_lineage"],
        "freshness": ["Judge"],
        "dvc_yaml": ["stages"],
        "reference": ["export", "take_up"],
        "notebooks": ["execute"],
        "costs": ["print_plan"],
    },
)
