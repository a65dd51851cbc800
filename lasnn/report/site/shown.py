"""An exhibit as the site finds it: the preset's own files, else those that are kept in git, else none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lasnn.errors import InputError
from lasnn.plan.cells import KEYS
from lasnn.plan.config import Preset
from lasnn.report import pages
from lasnn.report.catalogue import EXHIBITS
from lasnn.report.exhibit import Exhibit, Figure
from lasnn.report.late import pd
from lasnn.storage import files

Judged = Callable[[str], str | None]  # why a preset's own exhibit must be made again


@dataclass(frozen=True)
class Shown:
    """`folder`: where its files lie, None if it was never made; `said`: its JSON; `fault`: why not to trust it."""

    name: str
    exhibit: Exhibit
    folder: Path | None = None
    kept: bool = False
    said: dict[str, Any] = field(default_factory=dict)
    fault: str | None = None

    @property
    def is_figure(self) -> bool:
        return isinstance(self.exhibit, Figure)

    @property
    def title(self) -> str:
        return str(self.said.get("title", self.exhibit.title))

    @property
    def files(self) -> list[Path]:
        """Its files that are there: of a figure that shows images of a dataset no picture is kept."""
        paths = [self.folder / f"{self.name}.{ending}" for ending in self.exhibit.endings] if self.folder else []
        return [path for path in paths if path.exists()]

    def file(self, ending: str) -> Path | None:
        return next((path for path in self.files if path.suffix == f".{ending}"), None)

    @property
    def notes(self) -> list[str]:
        """Its caption."""
        if "notes" in self.said:
            return list(self.said["notes"])
        markdown = self.file("md")
        lines = markdown.read_text(encoding="utf-8").splitlines() if markdown else []
        return [line[2:] for line in lines if line.startswith("- ")]

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Head and lines of a table as they are shown; nothing of a figure."""
        markdown = self.file("md")
        return pages.grid(markdown.read_text(encoding="utf-8")) if markdown else ([], [])

    def tidy(self) -> pd.DataFrame:
        """Its numbers, a line for each; keys are words, empty where they say nothing."""
        path = self.file("csv")
        if path is None:
            return pd.DataFrame()
        frame = pd.read_csv(path, dtype=dict.fromkeys((*KEYS, "variant"), str))
        keys = [key for key in (*KEYS, "variant") if key in frame]
        return frame.assign(**{key: frame[key].fillna("") for key in keys})


def look(preset: Preset, kept: Path, judged: Judged) -> list[Shown]:
    """Every exhibit of the catalogue, in its order. `kept`: where the preset's results in git lie."""
    return [_look(name, preset, kept, judged) for name in EXHIBITS]


def _look(name: str, preset: Preset, kept: Path, judged: Judged) -> Shown:
    exhibit = EXHIBITS[name]
    for root in (Path(preset.root), kept):
        sources = root / "exhibits" / f"{name}.json"
        if not sources.exists():
            continue
        try:
            said = files.read_json(sources)
            changed = [file for file, digest in said["made"].items() if _other(sources.with_name(file), digest)]
            fault = f"{changed[0]} has changed since it was made" if changed else None
            if root is not kept:
                fault = fault or judged(name)
            elif said["plan"] != exhibit.plan(preset):
                fault = fault or "config.yaml has another choice of runs now than these are of"
        except (InputError, KeyError, TypeError, AttributeError) as error:
            return Shown(name, exhibit, fault=f"{sources} can't be read: {' '.join(str(error).split())}")
        return Shown(name, exhibit, sources.parent, root is kept, said, fault)
    return Shown(name, exhibit)


def _other(path: Path, digest: str) -> bool:
    return path.exists() and files.sha256(path) != digest
