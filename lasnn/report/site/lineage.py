"""What a number rests on, as pages: one for each run behind an exhibit, with its parents, settings and digests."""

import html
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from lasnn.errors import InputError
from lasnn.plan.config import Preset
from lasnn.plan.overlays import written
from lasnn.plan.runs import AnnRun, Run, SnnRun, parse
from lasnn.plan.vocabulary import METHODS
from lasnn.report.site.html import code, link, raw, table
from lasnn.storage import files
from lasnn.storage.files import Json

KINDS = {"ann": "ANN", "converted": "Converted", "snn": "Spiking"}
Facts = Callable[[Run, Json, Json], list[str]]  # of a run, its metrics and its provenance: as `trace` prints them


@dataclass
class Lineage:
    """The runs that pages ask for. `roots`: folders in which a run may lie, the preset's own first."""

    preset: Preset
    roots: tuple[Path, ...]
    facts: Facts
    shown_by: dict[tuple[Path, str], list[str]] = field(default_factory=dict)  # run -> exhibits that show it

    def page_of(self, run: str, digest: str | None, shown: str = "") -> str | None:
        """The page of a run, without ending, whose metrics have this digest (None: any); None if it is nowhere."""
        for root in self.roots:
            metrics = root / run / "metrics.json"
            if metrics.exists() and digest in (None, files.sha256(metrics)):
                names = self.shown_by.setdefault((root, run), [])
                if shown and shown not in names:
                    names.append(shown)
                return self._name(root, run)
        return None

    def _name(self, root: Path, run: str) -> str:
        kept = "kept-" if root != self.roots[0] else ""
        return f"lineage/{kept}{run.replace('/', '-')}"

    def write(self, folder: Path) -> list[str]:
        """Write the pages of all runs that were asked for, and of what they started from; their names."""
        done: dict[str, str] = {}
        while waiting := [one for one in self.shown_by if self._name(*one) not in done]:
            for root, run in waiting:
                done[self._name(root, run)] = self._page(root, run)
        for name, text in done.items():
            files.write_text(folder / f"{name}.md", text)
        return sorted(done)

    def listing(self) -> str:
        """Markdown of the page of all runs: for each kind and network a table with accuracies."""
        groups: dict[str, list[list[str]]] = {}
        for root, name in sorted(self.shown_by, key=lambda one: one[1]):
            kind, dataset, network, *rest = name.split("/")
            try:
                accuracy = f"{files.read_json(root / name / 'metrics.json')['accuracy']:.2f}"
            except (InputError, KeyError, TypeError):
                accuracy = "-"
            line = [link(f"{self._name(root, name)}.html", "/".join(rest)), accuracy]
            groups.setdefault(f"{KINDS[kind]}: {network} on {dataset}", []).append(line)
        parts = [f"\n## {head}\n\n" + raw(table(["run", "accuracy, %"], lines)) for head, lines in groups.items()]
        return "# Runs\n" + ("".join(parts) or "\nNothing was run yet.\n")

    def _page(self, root: Path, name: str) -> str:
        run, folder = parse(name), root / name
        try:
            metrics, made = files.read_json(folder / "metrics.json"), files.read_json(folder / "provenance.json")
            head, *facts = self.facts(run, metrics, made)
            parents, digests = metrics["parents"], made["files"]
            settings = written(metrics["settings"])
        except (InputError, KeyError, TypeError) as error:
            return f"---\norphan: true\n---\n\n# {name}\n\n" + raw(f"<p>{code(folder)}: {html.escape(str(error))}</p>")
        shown = ", ".join(link(f"../exhibits/{one}.html", one) for one in self.shown_by[root, name])
        own, place = self.preset.folder(run), html.escape(str(folder))
        body = [
            f"<p>{html.escape(in_words(run))}: {html.escape(head.split(': ', 1)[1])}</p>",
            f"<p>Shown in {shown}.</p>" if shown else "",
            "<ul>" + "".join(f"<li>{html.escape(fact)}</li>" for fact in facts) + "</ul>",
            f"<p>Files: {code(folder)}. It is made by</p><pre>snakemake --cores 1 {own}/metrics.json</pre>",
            f"<p>This one traces and verifies it:</p><pre>python -m lasnn trace {place} --verify</pre>",
            "<h2>What it started from</h2>",
            self._parents(root, parents) or "<p>No other run.</p>",
        ]
        lines = [[html.escape(file), code(digest)] for file, digest in digests.items()]
        body += ["<h2>Files</h2>", table(["file", "SHA-256"], lines)]
        return f"---\norphan: true\n---\n\n# {name}\n\n{raw(*body)}\n\n## Settings\n\n```yaml\n{settings}```\n"

    def _parents(self, root: Path, parents: dict[str, str]) -> str:
        """The runs behind a run as a tree."""
        items = []
        for name, checkpoint in parents.items():
            metrics, text, behind = root / name / "metrics.json", html.escape(name), ""
            if metrics.exists():
                self.shown_by.setdefault((root, name), [])
                text = link(f"{self._name(root, name).removeprefix('lineage/')}.html", name)
                behind = self._parents(root, files.read_json(metrics)["parents"])
            items.append(f"<li>{text}, model.pt {code(checkpoint[:12])}{behind}</li>")
        return f"<ul>{''.join(items)}</ul>" if items else ""


def in_words(run: Run) -> str:
    """A run's method and setting in one phrase."""
    if isinstance(run, AnnRun):
        said = f"{run.network} trained on {run.dataset}"
    elif isinstance(run, SnnRun):
        taught = f", taught by {run.teacher}" if run.teacher != "none" else ""
        title = METHODS[run.method].title
        said = f"{title}: {run.student} on {run.dataset}, {run.encoder} input, T = {run.steps}{taught}"
    else:
        said = f"{run.student} converted on {run.dataset}, {run.encoder} input"
    return said + (f", variant {run.variant}" if run.variant != "base" else "") + f", seed {run.seed}"
