"""The list of exhibits: those of each file in `exhibits/`, in the order in which they are shown."""

from pathlib import Path

from lasnn.console import Console
from lasnn.errors import InputError
from lasnn.plan.config import Config, Preset
from lasnn.plan.runs import Run
from lasnn.plan.vocabulary import known, pick
from lasnn.report.exhibit import Exhibit, Figure, Table
from lasnn.report.exhibits import (
    benchmark,
    claims,
    energy,
    figure1,
    figure2,
    over_time,
    printed,
    regime,
    runs,
    tables,
    training,
    variants,
)

MODULES = (tables, energy, over_time, variants, training, claims, benchmark, runs, figure1, figure2, printed, regime)
_all: dict[str, Exhibit] = {name: one for module in MODULES for name, one in module.EXHIBITS.items()}
# Tables of the paper, then ours and the claims; figures of the paper, then ours.
EXHIBITS = dict(sorted(_all.items(), key=lambda one: (isinstance(one[1], Figure), "table" not in one[0], one[0])))

TARGETS = {
    "tables": [name for name, exhibit in EXHIBITS.items() if isinstance(exhibit, Table) and exhibit.main],
    "figures": [name for name, exhibit in EXHIBITS.items() if isinstance(exhibit, Figure)],
    "all": list(EXHIBITS),
}


def exhibits_of(target: str) -> list[str]:
    """The exhibits that `tables`, `figures`, `all` or one exhibit's name means."""
    known([*TARGETS, *EXHIBITS], target, "target")
    return TARGETS.get(target, [target])


def names_of(kind: type[Exhibit]) -> list[str]:
    """The exhibits of one kind, `Table` or `Figure`."""
    return [name for name, exhibit in EXHIBITS.items() if isinstance(exhibit, kind)]


def files_of(preset: Preset, name: str) -> list[str]:
    """The files of an exhibit."""
    return [f"{preset.root}/exhibits/{name}.{ending}" for ending in EXHIBITS[name].endings]


def runs_of_target(preset: Preset, target: str) -> list[Run]:
    """Every run that a target needs, parents before children."""
    return preset.ancestors([run for name in exhibits_of(target) for run in EXHIBITS[name].runs(preset)])


def write(config: Config, path: str, console: Console) -> list[Path]:
    """Write the files of the exhibit that `path` (results/<preset>/exhibits/<name>.<ending>) is one of."""
    target = Path(path)
    if target.parent.name != "exhibits":
        raise InputError(f"{path!r} is not an exhibit: expected results/<preset>/exhibits/<name>.<ending>")
    exhibit, preset = pick(EXHIBITS, target.stem, "exhibit"), config.preset(target.parent.parent.name)
    known(exhibit.endings, target.suffix[1:], f"ending of {target.stem}")
    return exhibit.write(target.with_suffix(""), preset)
