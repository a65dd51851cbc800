"""The two kinds of exhibit and how each is written: tables as CSV, Markdown, LaTeX, HTML, figures as SVG, PNG and CSV.

Each also leaves a JSON file with the runs behind every cell and the digest of each file that it was made from.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

from lasnn.plan.cells import KEYS, PAPER, Cell, runs_of
from lasnn.plan.config import Preset
from lasnn.plan.runs import BASE, Run, parse
from lasnn.report import pages, style
from lasnn.report.columns import MARK, numbers, shown
from lasnn.report.finished import converted_behind
from lasnn.report.frame import csv, of_cells
from lasnn.report.late import Drawing, pd
from lasnn.storage import files

SHOWN = 12  # warnings that are written out below an exhibit
LATEX = str.maketrans({mark: f"\\{mark}" for mark in "_%&#$"} | {"±": "$\\pm$", MARK: "$\\dagger$"})

Cells = Callable[[Preset], Sequence[Cell]]
Lines = Callable[[list[Cell], Preset], "pd.DataFrame"]
Notes = Callable[["pd.DataFrame", Preset], list[str]]


def titles_of(preset: Preset, runs: list[Run]) -> dict[str, object]:
    """What an exhibit calls the variants that it shows."""
    titles = {run.variant: preset.config.title(run.variant) for run in runs}
    return {"titles": {name: title for name, title in titles.items() if title != name}}


@dataclass(frozen=True)
class Exhibit:
    """A table or figure: its cells name the runs that it needs, and nothing else is run for it.

    `lines` makes its numbers of the cells, one line each with the columns `more` of the frame of runs unless said
    otherwise. `told`: further remarks. It reads the converted networks behind its runs too (`converted`), the
    predictions of runs of these kinds (`predictions`), training logs (`logs`), what runs cost (`costs`). `main`:
    whether a table belongs to the target `tables`; the others are made for `all`. `sections`: what of the configuration
    it shows: a change there makes the exhibit anew. `beside`: what it shows of it beside these sections.
    """

    title: str
    cells: Cells
    _: KW_ONLY
    more: str = ""
    lines: Lines | None = None
    told: Notes | str = ""
    ours: str = "Ours: mean ± sd over n seeds"  # what its numbers are
    converted: bool = False
    predictions: tuple[str, ...] = ()
    logs: bool = False
    costs: bool = False
    main: bool = True
    sections: tuple[str, ...] = ("scope",)
    beside: Callable[[Preset, list[Run]], dict[str, object]] | None = None
    shows_images: bool = False  # of a dataset, whose licence may not allow to hand them on
    endings: ClassVar[tuple[str, ...]] = ()

    @cache  # noqa: B019 -- exhibits last as long as the process, which has few presets
    def behind(self, preset: Preset) -> list[tuple[Cell, list[Run]]]:
        """Its cells, each with its runs."""
        return [(cell, runs_of(cell, preset)) for cell in self.cells(preset)]

    def shown_runs(self, preset: Preset) -> list[Run]:
        """Every run behind a cell, each once."""
        return list(dict.fromkeys(run for _, runs in self.behind(preset) for run in runs))

    def runs(self, preset: Preset) -> list[Run]:
        """Every run that it is made from."""
        runs = self.shown_runs(preset)
        return [*converted_behind(runs, preset), *runs] if self.converted else runs

    def files(self, preset: Preset) -> list[str]:
        """Every output of a rule that the exhibit is made from, beside the paper's numbers."""
        judged = [run for run in self.shown_runs(preset) if run.kind in self.predictions]
        paths = [f"{preset.folder(run)}/metrics.json" for run in self.runs(preset)]
        return [*paths, *(f"{preset.folder(run)}/predictions.npz" for run in judged)]

    def logged(self, preset: Preset) -> list[Run]:
        """The runs whose training logs it reads, if they train."""
        return self.shown_runs(preset) if self.logs else []

    def costed(self, preset: Preset) -> list[Run]:
        """The runs of which it shows seconds or memory."""
        return self.shown_runs(preset) if self.costs else []

    def made_from(self, preset: Preset) -> list[str]:
        """All that, the paper's numbers, and training logs and costs, which come with metrics and no rule names."""
        logged = [run for run in self.logged(preset) if preset.has_training_log(run)]
        beside = [*(f"{preset.folder(run)}/log.jsonl" for run in logged)]
        beside += [f"{preset.folder(run)}/provenance.json" for run in self.costed(preset)]
        return [PAPER.as_posix(), *self.files(preset), *beside]

    def place_of(self, path: str) -> Path:
        """Where a file of `made_from` lies: the paper's numbers are part of this package."""
        return Path(__file__).with_name(PAPER.name) if path == PAPER.as_posix() else Path(path)

    def plan(self, preset: Preset) -> str:
        """What of the configuration the exhibit shows, as one word of JSON."""
        said = "".join(getattr(preset, section).model_dump_json() for section in self.sections)
        runs, own = self.shown_runs(preset), preset.config.file.architectures
        networks = {run.network_name for run in runs if run.network_name in own}
        shown: dict[str, object] = {"networks": {name: own[name].title for name in networks if own[name].title}}
        shown |= self.beside(preset, runs) if self.beside else {}
        found = {key: value for key, value in shown.items() if value}
        return said + (json.dumps(found, sort_keys=True) if found else "")

    def tidy(self, preset: Preset) -> pd.DataFrame:
        """Its numbers: one line for each cell, unless `lines` says otherwise."""
        cells = [cell for cell, _ in self.behind(preset)]
        return self.lines(cells, preset) if self.lines else of_cells(cells, preset, self.more)

    def runs_behind(self, tidy: pd.DataFrame, preset: Preset) -> list[list[Run]] | None:
        """The runs of each of its lines, as read back from its CSV; None if the lines don't tell."""
        if "runs" not in tidy:
            return None
        return [[parse(word) for word in words.split()] if isinstance(words, str) else [] for words in tidy["runs"]]

    def basis(self, tidy: pd.DataFrame, preset: Preset) -> list[str]:
        """Which runs its numbers are of: preset, seeds, size, images."""
        ran = tidy[tidy["n"] > 0]
        notes = [f"Preset {preset.name}. {self.ours} (n = {numbers(ran['n']) or 'none run'})."]
        if preset.scope.note:
            notes.append(preset.scope.note)
        columns = ["ran_dataset", "train_images", "test_images", "assessed", "subset"]
        for (title, train, test, assessed, subset), _ in ran.groupby(columns):
            part = ", from a source that holds only a part of the dataset" if subset else ""
            judged = "n_test" if assessed == "test" else "judged by held-out training images, no test image: n"
            notes.append(f"{title}: n_train {train:g}, {judged} {test:g}{part}.")
        return notes

    def remarks(self, tidy: pd.DataFrame, preset: Preset) -> list[str]:
        """What a reader must know of its runs."""
        ran, notes = tidy[tidy["n"] > 0], self.basis(tidy, preset)
        notes[0] = f"{notes[0][:-1]}; `-`: not run or not printed."
        told = dict.fromkeys(word for words in ran["warnings"].dropna() for word in words.split(" | ") if word)
        notes += [f"{MARK} {word}." for word in list(told)[:SHOWN]]
        if len(told) > SHOWN:
            notes.append(f"{MARK} and {len(told) - SHOWN} more: column `warnings` of the CSV names them.")
        if tidy["quoted"].any():
            notes.append("Quoted: the paper's own quotation of another work; nobody reran it here.")
        if ran["teacher_weaker"].eq(True).any():
            weak = ran[ran["teacher_weaker"].eq(True)]
            variants = (" (" + weak["variant"] + ")").mask(weak["variant"] == BASE, "")
            known = ", ".join(sorted(set(weak["runs"].str.split("/").str[2] + variants)))
            notes.append(f"Warning: the teacher is weaker than the student's own ANN for {known}.")
        return notes

    def notes(self, tidy: pd.DataFrame, preset: Preset) -> list[str]:
        """What is printed below it."""
        told = self.told(tidy, preset) if callable(self.told) else [self.told] if self.told else []
        return [*self.remarks(tidy, preset), *told]

    def write(self, stem: Path, preset: Preset) -> list[Path]:
        """Write its files."""
        tidy = self.tidy(preset)
        notes = self.notes(tidy, preset)
        files.write_text(stem.with_suffix(".csv"), csv(tidy))
        self._write(stem, tidy, notes, preset)
        self._leave_sources(stem, preset, notes)
        return [stem.with_suffix(f".{ending}") for ending in self.endings]

    def _write(self, stem: Path, tidy: pd.DataFrame, notes: list[str], preset: Preset) -> None:
        """Write what is shown of its lines."""
        raise NotImplementedError

    def _leave_sources(self, stem: Path, preset: Preset, notes: list[str]) -> None:
        """Write which runs are behind each cell, the caption, and the digests of all files read and written."""
        cells = [
            {key: getattr(cell, key) for key in (*KEYS, "variant")} | {"runs": [str(run) for run in runs]}
            for cell, runs in self.behind(preset)
        ]
        digests = {path: files.sha256(self.place_of(path)) for path in self.made_from(preset)}
        written = [stem.with_suffix(f".{ending}") for ending in self.endings if ending != "json"]
        content = {"exhibit": stem.name, "title": self.title, "preset": preset.name, "cells": cells}
        content |= {"plan": self.plan(preset), "notes": notes}
        made = {path.name: files.sha256(path) for path in written}
        files.write_json(stem.with_suffix(".json"), content | {"files": digests, "made": made}, seal=True)


@dataclass(frozen=True)
class Table(Exhibit):
    """A table: the names of its columns, or a function that turns the lines into what a reader sees."""

    columns: str | Callable[[pd.DataFrame], pd.DataFrame] = ""
    _: KW_ONLY
    ran_only: bool = False  # lines of which nothing was run are left out
    endings: ClassVar[tuple[str, ...]] = ("csv", "md", "tex", "html", "json")

    def arrange(self, tidy: pd.DataFrame) -> pd.DataFrame:
        """What a reader sees of these lines."""
        lines = tidy[tidy["n"] > 0] if self.ran_only else tidy
        if self.ran_only and lines.empty:
            return pd.DataFrame({"network": ["nothing run in this preset"]})
        return shown(lines, self.columns) if isinstance(self.columns, str) else self.columns(lines)

    def _write(self, stem: Path, tidy: pd.DataFrame, notes: list[str], preset: Preset) -> None:
        table = self.arrange(tidy)
        lines = [f"# {self.title}", "", table.to_markdown(index=False, disable_numparse=True), ""]
        markdown = "\n".join([*lines, *(f"- {note}" for note in notes)]) + "\n"
        caption = " ".join(note if note.endswith(".") else f"{note}." for note in (self.title, *notes))
        latex = table.to_latex(index=False, escape=True, caption=caption.translate(LATEX), na_rep="-")
        files.write_text(stem.with_suffix(".md"), markdown)
        files.write_text(stem.with_suffix(".tex"), latex)
        files.write_text(stem.with_suffix(".html"), pages.page(markdown))


@dataclass(frozen=True)
class Figure(Exhibit):
    """A figure: `draw` turns the lines into a drawing; `said`: remarks of its own, shown in the picture too."""

    draw: Callable[[pd.DataFrame], Drawing]
    _: KW_ONLY
    said: Callable[[pd.DataFrame], list[str]] = lambda tidy: []
    endings: ClassVar[tuple[str, ...]] = ("svg", "png", "csv", "json")

    def picture(self, tidy: pd.DataFrame, preset: Preset) -> Drawing:
        """The drawing without its remarks; where nothing was run it says so."""
        return self.draw(tidy) if (tidy["n"] > 0).any() else style.nothing()

    def below(self, tidy: pd.DataFrame, preset: Preset) -> list[str]:
        """What is printed below the drawing wherever it is put; the whole caption, `notes`, is in its JSON file."""
        return [" ".join(self.basis(tidy, preset)), *self.said(tidy)]

    def _write(self, stem: Path, tidy: pd.DataFrame, notes: list[str], preset: Preset) -> None:
        style.theme()
        drawing = self.picture(tidy, preset)
        style.remarks_below(drawing, self.below(tidy, preset) if "n" in tidy else notes)
        endings: dict[str, dict[str, Any]] = {"svg": {"metadata": {"Date": None}}, "png": {"dpi": 200}}
        for ending, options in endings.items():
            buffer = io.BytesIO()
            drawing.savefig(buffer, format=ending, bbox_inches="tight", **options)
            files.write_bytes(stem.with_suffix(f".{ending}"), buffer.getvalue())
