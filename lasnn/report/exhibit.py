"""The two kinds of exhibit and how each is written: tables as CSV, Markdown, LaTeX, HTML, figures as SVG, PNG and CSV.

Each also leaves a JSON file with the runs behind every cell and the digest of each file that it was made from.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from lasnn.plan.cells import KEYS, PAPER, Cell, runs_of
from lasnn.plan.config import Preset
from lasnn.plan.runs import BASE, Run, parse
from lasnn.report import pages, rows, style
from lasnn.report.late import pd
from lasnn.report.rows import MARK
from lasnn.storage import files

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

SHOWN = 12  # warnings that are written out below an exhibit

Cells = Callable[[Preset], list[Cell]]


@dataclass(frozen=True)
class Exhibit:
    """A table or figure: its cells name the runs that it needs, and nothing else is run for it.

    `main`: whether a table belongs to the target `tables`; the others are made for `all`. `sections`: what of the
    configuration it shows: a change there makes the exhibit anew.
    """

    title: str
    cells: Cells
    main: bool = field(default=True, kw_only=True)
    sections: tuple[str, ...] = field(default=("scope",), kw_only=True)
    endings: ClassVar[tuple[str, ...]] = ()
    shows_images: ClassVar[bool] = False  # of a dataset, whose licence may not allow to hand them on
    ours: ClassVar[str] = "Ours: mean ± sd over n seeds"  # what its numbers are

    def runs(self, preset: Preset) -> list[Run]:
        """Every run behind a cell, each once."""
        return list(dict.fromkeys(run for cell in self.cells(preset) for run in runs_of(cell, preset)))

    def files(self, preset: Preset) -> list[str]:
        """Every output of a rule that the exhibit is made from, beside the paper's numbers."""
        return [f"{preset.folder(run)}/metrics.json" for run in self.runs(preset)]

    def read(self, preset: Preset) -> list[str]:
        """Every file that the exhibit is made from: also training logs, which come with metrics and no rule names."""
        return self.files(preset)

    def made_from(self, preset: Preset) -> list[str]:
        """All that, and the paper's numbers."""
        return [PAPER.as_posix(), *self.read(preset)]

    def place_of(self, path: str) -> Path:
        """Where a file of `made_from` lies: the paper's numbers are part of this package."""
        return Path(__file__).with_name(PAPER.name) if path == PAPER.as_posix() else Path(path)

    def plan(self, preset: Preset) -> str:
        """What of the configuration the exhibit shows, as one word of JSON."""
        return "".join(getattr(preset, section).model_dump_json() for section in self.sections)

    def tidy(self, preset: Preset) -> pd.DataFrame:
        """One line for each cell."""
        return rows.table(self.cells(preset), preset)

    def runs_behind(self, tidy: pd.DataFrame, preset: Preset) -> list[list[Run]] | None:
        """The runs of each of its lines, as read back from its CSV; None if the lines don't tell."""
        if "runs" not in tidy:
            return None
        return [[parse(word) for word in words.split()] if isinstance(words, str) else [] for words in tidy["runs"]]

    def notes(self, tidy: pd.DataFrame, preset: Preset) -> list[str]:
        """What stands below it."""
        return remarks(tidy, preset, self.ours)

    def write(self, stem: Path, preset: Preset) -> list[Path]:
        """Write its files."""
        raise NotImplementedError

    def leave_sources(self, stem: Path, preset: Preset, notes: list[str]) -> None:
        """Write which runs stand behind each cell, the caption, and the digests of all files read and written."""
        cells = [
            {key: value for key, value in asdict(cell).items() if key in (*KEYS, "variant")}
            | {"runs": [str(run) for run in runs_of(cell, preset)]}
            for cell in self.cells(preset)
        ]
        digests = {path: files.sha256(self.place_of(path)) for path in self.made_from(preset)}
        written = [stem.with_suffix(f".{ending}") for ending in self.endings if ending != "json"]
        content = {"exhibit": stem.name, "title": self.title, "preset": preset.name, "cells": cells}
        content |= {"plan": self.plan(preset), "notes": notes}
        made = {path.name: files.sha256(path) for path in written}
        files.write_json(stem.with_suffix(".json"), content | {"files": digests, "made": made}, seal=True)


@dataclass(frozen=True)
class Table(Exhibit):
    """A table: `arrange` turns the tidy lines into what a reader sees."""

    arrange: Callable[[pd.DataFrame], pd.DataFrame]
    endings: ClassVar[tuple[str, ...]] = ("csv", "md", "tex", "html", "json")

    def write(self, stem: Path, preset: Preset) -> list[Path]:
        """Write all five files."""
        tidy = self.tidy(preset)
        shown, notes = self.arrange(tidy), self.notes(tidy, preset)
        markdown = [f"# {self.title}", "", shown.to_markdown(index=False, disable_numparse=True), ""]
        markdown += [f"- {note}" for note in notes]
        caption = " ".join(note if note.endswith(".") else f"{note}." for note in (self.title, *notes))
        latex = shown.to_latex(index=False, escape=True, caption=_escaped(caption), na_rep="-")
        files.write_text(stem.with_suffix(".csv"), tidy.to_csv(index=False))
        files.write_text(stem.with_suffix(".md"), "\n".join(markdown) + "\n")
        files.write_text(stem.with_suffix(".tex"), latex)
        files.write_text(stem.with_suffix(".html"), pages.document(self.title, pages.table("\n".join(markdown))))
        self.leave_sources(stem, preset, notes)
        return [stem.with_suffix(f".{ending}") for ending in self.endings]


@dataclass(frozen=True)
class Figure(Exhibit):
    """A figure: `draw` turns the tidy lines into a drawing."""

    draw: Callable[[pd.DataFrame], Drawing]
    endings: ClassVar[tuple[str, ...]] = ("svg", "png", "csv", "json")

    def picture(self, tidy: pd.DataFrame, preset: Preset) -> Drawing:
        """The drawing without its remarks."""
        return self.draw(tidy)

    def below(self, tidy: pd.DataFrame, preset: Preset) -> list[str]:
        """What stands below the drawing wherever it is put; the whole caption, `notes`, is in its JSON file."""
        return [" ".join(basis(tidy, preset, self.ours))] if "n" in tidy else self.notes(tidy, preset)

    def write(self, stem: Path, preset: Preset) -> list[Path]:
        """Write both pictures, the numbers and the runs behind them."""
        style.theme()
        tidy = self.tidy(preset)
        drawing = self.picture(tidy, preset)
        notes = self.notes(tidy, preset)
        style.remarks_below(drawing, self.below(tidy, preset))
        endings: dict[str, dict[str, Any]] = {"svg": {"metadata": {"Date": None}}, "png": {"dpi": 200}}
        for ending, options in endings.items():
            buffer = io.BytesIO()
            drawing.savefig(buffer, format=ending, bbox_inches="tight", **options)
            files.write_bytes(stem.with_suffix(f".{ending}"), buffer.getvalue())
        files.write_text(stem.with_suffix(".csv"), tidy.to_csv(index=False))
        self.leave_sources(stem, preset, notes)
        return [stem.with_suffix(f".{ending}") for ending in self.endings]


def with_training_logs(preset: Preset, paths: list[str], runs: list[Run]) -> list[str]:
    """These paths, and the training log of each of the runs that trains."""
    return [*paths, *(f"{preset.folder(run)}/log.jsonl" for run in runs if preset.has_training_log(run))]


def basis(tidy: pd.DataFrame, preset: Preset, ours: str = Exhibit.ours) -> list[str]:
    """Which runs the numbers are of: preset, seeds, size, images. `ours`: what the numbers are."""
    ran = tidy[tidy["n"] > 0]
    seeds = ", ".join(f"{count:g}" for count in sorted(set(ran["n"]))) or "none run"
    notes = [f"Preset {preset.name}. {ours} (n = {seeds})."]
    if preset.scope.note:
        notes.append(preset.scope.note)
    columns = ["ran_dataset", "train_images", "test_images", "assessed", "subset"]
    for (title, train, test, assessed, subset), _ in ran.groupby(columns):
        part = ", from a source that holds only a part of the dataset" if subset else ""
        judged = "n_test" if assessed == "test" else "judged by held-out training images, no test image: n"
        notes.append(f"{title}: n_train {train:g}, {judged} {test:g}{part}.")
    return notes


def remarks(tidy: pd.DataFrame, preset: Preset, ours: str = Exhibit.ours) -> list[str]:
    """What a reader must know beside the numbers."""
    ran, notes = tidy[tidy["n"] > 0], basis(tidy, preset, ours)
    notes[0] = f"{notes[0][:-1]}; `-`: not run or not printed."
    told = dict.fromkeys(word for words in ran["warnings"].dropna() for word in words.split(" | ") if word)
    notes += [f"{MARK} {word}." for word in list(told)[:SHOWN]]
    if len(told) > SHOWN:
        notes.append(f"{MARK} and {len(told) - SHOWN} more: column `warnings` of the CSV names them.")
    if tidy["quoted"].any():
        notes.append("Quoted: the paper's own quotation of another work; nobody reran it here.")
    if ran["teacher_weaker"].eq(True).any():
        weak = ran[ran["teacher_weaker"].eq(True)]
        names = weak["runs"].str.split("/").str[2] + weak["variant"].map(
            lambda name: "" if name == BASE else f" ({name})"
        )
        notes.append(f"Warning: the teacher is weaker than the student's own ANN for {', '.join(sorted(set(names)))}.")
    revisions = sorted({word for words in ran["revision"] for word in words.split()})
    kinds = {word.rstrip("0123456789") for word in revisions}
    if len(revisions) > len(kinds):
        notes.append(f"Warning: results of different revisions of the code are mixed: {', '.join(revisions)}.")
    return notes


def _escaped(text: str) -> str:
    for character in "_%&#$":
        text = text.replace(character, f"\\{character}")
    return text.replace("±", "$\\pm$").replace(MARK, "$\\dagger$")
