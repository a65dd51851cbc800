"""A preset's results as a Provenance Run Crate (RO-Crate), which others' tools read and validate. No torch, no images.

Each run is an action of its stage at its commit: objects are its parents' checkpoints and its images, by digest, and
its settings; results are its files. Each exhibit is one, whose objects are the files that it was made from. The crate
holds all files but checkpoints and images, which it names by their SHA-256.
"""

import hashlib
import json
import mimetypes
import tempfile
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, cast

from lasnn import __version__
from lasnn.errors import InputError
from lasnn.pipeline import reference
from lasnn.plan.config import Config, Preset
from lasnn.plan.overlays import parsed
from lasnn.plan.runs import KINDS, Run, parse
from lasnn.results.fits import RUN_FILES
from lasnn.results.store import LOG
from lasnn.storage import files
from lasnn.storage.files import Json

if TYPE_CHECKING:
    from rocrate.model.entity import Entity
    from rocrate.rocrate import ROCrate

PROFILES = ("process/0.5", "workflow/0.5", "provenance/0.5")
TERMS = {name: f"https://w3id.org/ro/terms/workflow-run#{name}" for name in ("sha256", "resourceUsage", "environment")}
SOURCES = ("config.yaml", "config", "environment.yml", "pyproject.toml", "uv.lock", "LICENSE", "CITATION.cff")
STEPS = (*KINDS, "exhibit")
DOES = {
    "ann": "trains a teacher or a student's analog network",
    "converted": "converts an analog network: thresholds by balancing, accuracy over time",
    "snn": "makes a spiking network: conversion alone, or training after it",
    "exhibit": "makes a table or a figure",
}


def write(config: Config, name: str | None, folder: Path | None) -> str:
    """Write the crate of a preset's finished results, or of its kept ones where none are finished, whole; one line.

    InputError if there are none, if the folder is in use, or if the library `rocrate` is not installed.
    """
    try:
        from rocrate.rocrate import ROCrate
    except ImportError:
        raise InputError(
            "a crate takes the library rocrate: `uv sync --group crate` or `pip install rocrate`"
        ) from None
    preset = config.preset(name)
    places = Path(preset.root), reference.folder_of(preset)
    root = next((place for place in places if any(place.glob("*/**/metrics.json"))), None)
    if root is None:
        raise InputError(f"no finished run in {places[0]} and none kept in {places[1]}: make or take one first")
    target = folder or Path(preset.root, "crate")
    if target.exists() and any(target.iterdir()) and not (target / "ro-crate-metadata.json").exists():
        raise InputError(f"{target} holds other files than a crate: name a new folder with --out")
    made = Crate(ROCrate(version="1.1"), preset, root)
    runs, exhibits = made.fill()
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".crate-", dir=target.parent) as scratch:
        made.crate.write(Path(scratch, "new"))
        files.replace_folder(Path(scratch, "new"), target, Path(scratch, "before"))
    return f"wrote {target}: {runs} runs and {exhibits} exhibits of {root} as a Provenance Run Crate"


class Crate:
    """A crate while it is filled. Entities are added once, by their identifiers."""

    def __init__(self, crate: "ROCrate", preset: Preset, root: Path):
        self.crate, self.preset, self.root = crate, preset, root
        self.engines: set[str] = set()  # versions of Snakemake
        self.actions: dict[str, list[Entity]] = {step: [] for step in STEPS}

    def fill(self) -> tuple[int, int]:
        """Add all that is there; how many runs and exhibits that is."""
        for path in sorted(self.root.glob("*/**/metrics.json")):
            self.run(parse(path.parent.relative_to(self.root).as_posix()))
        for path in sorted(self.root.glob("exhibits/*.json")):
            self.exhibit(path)
        self.workflow()
        return sum(len(self.actions[kind]) for kind in KINDS), len(self.actions["exhibit"])

    def thing(self, identifier: str, kind: str, **properties: object) -> "Entity":
        """An entity that is no file, such as a tool or a setting."""
        from rocrate.model.contextentity import ContextEntity

        found = self.crate.dereference(identifier)
        return found or self.crate.add(ContextEntity(self.crate, identifier, properties={"@type": kind, **properties}))

    def file(self, path: Path, name: str, **properties: object) -> "Entity":
        """A file, to be copied to `name` in the crate."""
        if found := self.crate.dereference(name):
            return found
        kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
        facts: Json = {"name": name, "sha256": files.sha256(path), "contentSize": str(path.stat().st_size)}
        return self.crate.add_file(path, name, properties=facts | {"encodingFormat": kind, **properties})

    def stated(self, name: str, digest: str) -> "Entity":
        """A file that is not in the crate, by its digest."""
        return self.thing(f"#{name}-{digest[:16]}", "CreativeWork", name=name, sha256=digest)

    def value(self, name: str, value: object, kind: str = "setting") -> "Entity":
        """A name with a value; equal ones are one entity."""
        text = value if isinstance(value, str) else json.dumps(value)
        digest = hashlib.sha256(text.encode()).hexdigest()[:12]
        return self.thing(f"#{kind}/{name}/{digest}", "PropertyValue", name=name, value=text, propertyID=name)

    def tool(self, step: str, version: str) -> "Entity":
        """What a step of the workflow runs, in one version of the code."""
        name = f"python -m lasnn {step}"
        named = {"name": name, "description": DOES[step], "softwareVersion": version}
        return self.thing(f"#{step}-{version}", "SoftwareApplication", **named)

    def action(self, step: str, identifier: str, **properties: object) -> None:
        status = "http://schema.org/CompletedActionStatus"
        self.actions[step].append(self.thing(identifier, "CreateAction", actionStatus=status, **properties))

    def run(self, run: Run) -> None:
        """A run, its parents and images by digest, its settings, its files, when it was made and on what."""
        folder = self.root / str(run)
        metrics, made = files.read_json(folder / "metrics.json"), files.read_json(folder / "provenance.json")
        code, data, start = made["code"], metrics["data"], datetime.fromisoformat(made["started"])
        ended = (start + timedelta(seconds=made["seconds"])).isoformat(timespec="seconds")
        self.engines.add(made["packages"]["snakemake"])
        counts = f"{data['train_images']} for training and {data['test_images']} for testing are taken"
        images = self.thing(
            f"#images/{data['dataset']}-{data['digest'][:16]}",
            "CreativeWork",
            name=f"images of {data['title']}, prepared",
            sha256=data["digest"],
        )
        checkpoints = [self.stated(f"{parent}/model.pt", sha) for parent, sha in metrics["parents"].items()]
        settings = [self.value(key, value) for key, value in _flat(metrics["settings"])]
        results = [self._result(run, name, made["files"]) for name in (*RUN_FILES, LOG)]
        usage = {key: made[key] for key in ("seconds", "training_seconds", "peak_memory_bytes") if key in made}
        machine = {key: made[key] for key in ("device", "platform", "threads", "python") if key in made}
        version = f"{code['commit'] or 'of an unknown commit'}{'-with-changes' * (code.get('clean') is False)}"
        self.action(
            run.kind,
            f"#run/{run}",
            name=str(run),
            description=f"accuracy {metrics['accuracy']:.2f} %; {made['device']}, {made['seconds']:.0f} s; {counts}",
            instrument=self.tool(run.kind, version),
            object=[*checkpoints, images, *settings],
            result=[result for result in results if result],
            startTime=made["started"],
            endTime=ended,
            resourceUsage=[self.value(key, value, "usage") for key, value in usage.items()],
            environment=[self.value(key, value, "environment") for key, value in (machine | made["packages"]).items()],
        )

    def _result(self, run: Run, name: str, stated: dict[str, str]) -> "Entity | None":
        path = self.root / str(run) / name
        if name == "model.pt":
            return self.stated(f"{run}/{name}", stated[name])
        if not path.exists() and self.root == reference.folder_of(self.preset):
            path = reference.kept_at(self.preset, run) / name  # of an ANN that two presets share
        return self.file(path, f"{run}/{name}") if path.exists() else None

    def exhibit(self, path: Path) -> None:
        """An exhibit and the files that it was made from, by digest where they are not in the crate."""
        said = files.read_json(path)
        made = [path, *(path.with_name(name) for name in sorted(said["made"]) if path.with_name(name).exists())]
        below = f"{self.preset.root}/"
        sources = {name.removeprefix(below): digest for name, digest in said["files"].items()}
        objects = [self.crate.dereference(name) or self.stated(name, digest) for name, digest in sources.items()]
        results = [self.file(one, f"exhibits/{one.name}") for one in made]
        tool, named = self.tool("exhibit", __version__), f"exhibits/{path.stem}"
        self.action("exhibit", f"#{named}", name=said["title"], instrument=tool, object=objects, result=results)

    def workflow(self) -> None:
        """The workflow, its steps, its one execution, and who may use all this."""
        crate, citation = self.crate, cast(Json, parsed("CITATION.cff"))
        tools = {step: list(dict.fromkeys(one["instrument"] for one in made)) for step, made in self.actions.items()}
        starts, ends = ([one[at] for kind in KINDS for one in self.actions[kind]] for at in ("startTime", "endTime"))
        crate.metadata.extra_terms.update(TERMS)
        preset, licence = f"the preset {self.preset.name}", citation["license"]
        crate.name = f"LaSNN: results of {preset}"
        crate.description = f"{citation['title']}. Every run of {preset} and every table and figure."
        crate.license = self.thing(f"https://spdx.org/licenses/{licence}", "CreativeWork", name=licence)
        crate.creator = [
            self.thing(f"#author-{number}", "Organization" if "name" in one else "Person", name=_name(one))
            for number, one in enumerate(citation["authors"], 1)
        ]
        crate.root_dataset["author"] = crate.creator
        crate.datePublished = datetime.fromisoformat(max(ends))
        kinds = ["File", "SoftwareSourceCode", "ComputationalWorkflow", "HowTo"]
        named: Json = {"@type": kinds, "name": "LaSNN in Snakemake", "version": __version__}
        source = "workflow/Snakefile"
        workflow = crate.add_workflow(source, source, main=True, lang="snakemake", properties=named)
        workflow["hasPart"] = [tool for step in STEPS for tool in tools[step]]
        steps = {
            step: self.thing(f"#step/{step}", "HowToStep", name=step, position=str(place), workExample=tools[step])
            for place, step in enumerate(STEPS)
            if tools[step]
        }
        workflow["step"] = list(steps.values())
        controls = [
            self.thing(f"#control/{one.id[1:]}", "ControlAction", instrument=steps[step], object=one)
            for step, found in self.actions.items()
            for one in found
        ]
        sources = [one for name in SOURCES for one in _files(Path(name))]
        objects = [self.file(one, one.as_posix()) for one in sources]
        exhibits = [result for one in self.actions["exhibit"] for result in one["result"]]
        whole = self.thing(
            "#workflow-run",
            "CreateAction",
            name=f"all runs and exhibits of {preset}",
            instrument=workflow,
            object=objects,
            result=exhibits,
            startTime=min(starts),
            endTime=max(ends),
        )
        address, versions = "https://snakemake.github.io", ", ".join(sorted(self.engines))
        named = {"name": "Snakemake", "url": address, "softwareVersion": versions}
        engine = self.thing(address, "SoftwareApplication", **named)
        self.thing("#engine-run", "OrganizeAction", name="Snakemake", instrument=engine, object=controls, result=whole)
        crate.root_dataset["mentions"] = [whole, *(one for found in self.actions.values() for one in found)]
        profiles = [f"https://w3id.org/ro/wfrun/{profile}" for profile in PROFILES]
        profiles.append("https://w3id.org/workflowhub/workflow-ro-crate/1.0")
        crate.root_dataset["conformsTo"] = [
            self.thing(one, "CreativeWork", name=one.split("/")[-2], version=one.split("/")[-1]) for one in profiles
        ]


def _flat(settings: Json, prefix: str = "") -> Iterable[tuple[str, object]]:
    for key, value in settings.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _name(author: dict[str, str]) -> str:
    return author.get("name") or f"{author['given-names']} {author['family-names']}"


def _files(path: Path) -> list[Path]:
    return sorted(one for one in path.rglob("*") if one.is_file()) if path.is_dir() else [path] * path.exists()
