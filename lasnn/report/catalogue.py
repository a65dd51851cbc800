"""The list of exhibits: each table or figure is one file in `exhibits/` and one line here."""

from pathlib import Path

from lasnn.console import Console
from lasnn.errors import InputError
from lasnn.plan.config import Config, Preset
from lasnn.plan.runs import Run
from lasnn.plan.vocabulary import known, pick
from lasnn.report.exhibit import Exhibit, Figure, Table
from lasnn.report.exhibits import (
    claims,
    figure1,
    figure2,
    figure3,
    figure4,
    figure5,
    figure6,
    figure7,
    figure_ablations,
    figure_energy,
    figure_few_steps,
    figure_firing,
    figure_regime,
    figure_steps,
    table1,
    table2,
    table3,
    table4,
    table_s1,
    table_s2,
    table_s3,
    table_s4,
    table_s5,
    table_s6,
    table_s7,
    table_s8,
    table_s9,
)

EXHIBITS: dict[str, Exhibit] = {
    "table1": table1.EXHIBIT,
    "table2": table2.EXHIBIT,
    "table3": table3.EXHIBIT,
    "table4": table4.EXHIBIT,
    "table_s1": table_s1.EXHIBIT,
    "table_s2": table_s2.EXHIBIT,
    "table_s3": table_s3.EXHIBIT,
    "table_s4": table_s4.EXHIBIT,
    "table_s5": table_s5.EXHIBIT,
    "table_s6": table_s6.EXHIBIT,
    "table_s7": table_s7.EXHIBIT,
    "table_s8": table_s8.EXHIBIT,
    "table_s9": table_s9.EXHIBIT,
    "claims": claims.EXHIBIT,
    "figure1": figure1.EXHIBIT,
    "figure2": figure2.EXHIBIT,
    "figure3": figure3.EXHIBIT,
    "figure4": figure4.EXHIBIT,
    "figure5": figure5.EXHIBIT,
    "figure6": figure6.EXHIBIT,
    "figure7": figure7.EXHIBIT,
    "figure_steps": figure_steps.EXHIBIT,
    "figure_ablations": figure_ablations.EXHIBIT,
    "figure_energy": figure_energy.EXHIBIT,
    "figure_firing": figure_firing.EXHIBIT,
    "figure_few_steps": figure_few_steps.EXHIBIT,
    "figure_regime": figure_regime.EXHIBIT,
}

TARGETS = {
    "tables": [name for name, exhibit in EXHIBITS.items() if isinstance(exhibit, Table) and exhibit.main],
    "figures": [name for name, exhibit in EXHIBITS.items() if isinstance(exhibit, Figure)],
    "all": list(EXHIBITS),
}


def exhibits_of(target: str) -> list[str]:
    """The exhibits that `tables`, `figures`, `all` or one exhibit's name stands for."""
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
