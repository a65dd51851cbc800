"""config.yaml read strictly, and the presets that it stacks.

A run's settings are overlays merged in a fixed order (the head of config.yaml says which), then checked by the types
of `lasnn.plan.settings`. Every overlay is checked when the file is read, also those of presets that are not in use, so
that a misspelt key stops the workflow before its first job.
"""

import json
import os
from dataclasses import fields, replace
from functools import cache, cached_property
from pathlib import Path
from typing import overload

from pydantic import ValidationError

from lasnn.errors import InputError
from lasnn.plan.cells import Claims, Energy, Scope, pair_above
from lasnn.plan.options import (
    check_entry,
    check_levels,
    check_method,
    check_of_runs,
    check_options,
    check_readings,
    check_scope,
    picked,
)
from lasnn.plan.overlays import Overlay, checked, entries, first, merged, parsed, stacked, without_for
from lasnn.plan.own import ADOPTED as ADOPTED
from lasnn.plan.own import Adopted, ConfigFile, Networks, OwnDataset, check_names, with_adoptions
from lasnn.plan.runs import AND, BASE, AnnRun, ConvertedRun, Run, SnnRun, parse, split
from lasnn.plan.settings import SETTINGS, AnnSettings, ConvertedSettings, Protocol, Settings, SnnSettings
from lasnn.plan.vocabulary import ENCODERS, KNOWN_DATASETS, METHODS, NO_TEACHER, given, known, pick

CONFIG = Path("config.yaml")
PRESETS = Path("config", "presets")  # beside it; a file for each
PASSED_ON = "LASNN_CONFIG"  # environment variable that carries the workflow's configuration to its jobs
DATA_REVISION = 1  # raise it when a change of `lasnn.datasets` changes prepared files


def whole(path: Path | str = CONFIG) -> object:
    """What config.yaml holds, unchecked, together with the presets in files beside it, which its own are laid over."""
    content = parsed(path)
    if not isinstance(content, dict):
        return content
    files = sorted((Path(path).parent / PRESETS).glob("*.yaml"))
    return merged({"presets": {file.stem: parsed(file) for file in files}}, content)


def read(path: Path | str = CONFIG) -> "Config":
    """The checked configuration of a file; InputError says which key is wrong and why.

    Inside a job of the workflow the default file gives way to what the workflow passes on, as `--config` may have
    changed it.
    """
    if Path(path) == CONFIG and PASSED_ON in os.environ:
        return Config(json.loads(os.environ[PASSED_ON]))
    return Config(with_adoptions(whole(path), Path(path).with_name(ADOPTED)))


class Config:
    """The whole configuration. `config.preset()` is the preset that it names, `config.preset("paper")` another."""

    def __init__(self, content: object):
        if not isinstance(content, dict):
            raise InputError(f"the configuration is {content!r}: a mapping of keys was expected")
        self.content = content
        presets = content.get("presets", {})
        if presets == {}:
            raise InputError(f"the configuration has no preset: have {PRESETS} of the project beside config.yaml")
        content = content | {"presets": stacked(presets)} if isinstance(presets, dict) else content
        self.file = checked(ConfigFile, content, "config")
        self.titles = {name: str(overlay.pop("title", name)) for name, overlay in self.file.variants.items()}
        known(self.file.presets, self.file.preset, "preset")
        check_names(self.file)
        self.networks = Networks(self.file.architectures)
        names = set(KNOWN_DATASETS) | set(self.networks.known) | set(METHODS) | set(ENCODERS) | set(self.file.datasets)
        layers = {"protocol": self.file.protocol}
        own = {name: {k: v for k, v in presets[name].items() if k != "like"} for name in self.file.presets}
        layers |= {f"presets.{name}": overlay for name, overlay in own.items()}  # a fault is named where it is written
        layers |= {f"variants.{name}": overlay for name, overlay in self.file.variants.items()}
        for where, overlay in layers.items():
            self._check_overlay(overlay, where)
            if where.startswith("variants."):
                check_of_runs(overlay, where)
            for key, inner in entries(overlay):
                self._check_overlay(inner, f"{where}.for.{key}")
                check_of_runs(inner, f"{where}.for.{key}")
                check_entry(key, f"{where}.for", self.networks)
                section = inner.get("network")
                for name in key.split("+"):
                    if name.split("-T")[0] not in ENCODERS:
                        known(names, name, f"name in config: {where}.for")
                    if name in self.file.architectures and isinstance(section, dict) and {"width", "fc"} & set(section):
                        raise InputError(
                            f"config: {where}.for.{key}.network: width and fc don't apply to {name!r}, which is "
                            f"built as architectures.{name} says: change its features there"
                        )
        for name in sorted(self.file.presets, key=lambda name: "like" in presets[name]):
            self.preset(name).check()
        for path in self.file.adopted:
            name, _, rest = path.partition("/")
            run = parse(rest)
            if not isinstance(run, AnnRun) or run.variant != BASE:
                raise InputError(f"config: adopted.{path}: only a base run of kind 'ann' is adopted: remove this entry")
            self.preset(name).check_names(run)

    def _check_overlay(self, overlay: object, where: str) -> None:
        if not isinstance(overlay, dict):
            raise InputError(f"config: {where} is {overlay!r}: a mapping of settings was expected")
        checked(Protocol, merged(without_for(self.file.protocol), without_for(overlay)), f"config: {where}")

    @cache  # noqa: B019 -- one Config a process
    def preset(self, name: str | None = None) -> "Preset":
        """The preset called `name`, by default the one that the file names."""
        return Preset(self, known(self.file.presets, name or self.file.preset, "preset"))

    def locate(self, path: str) -> tuple["Preset", Run]:
        """The preset and the run that a folder such as `results/quick/ann/...` belongs to."""
        root, run = split(path)
        if Path(root).parent == Path(self.file.folders.results, "reference"):
            name = Path(root).name
            raise InputError(
                f"{path!r} is kept in git, not worked with: `python -m lasnn import --preset {name}` takes it up as "
                f"{self.file.folders.results}/{name}/{run}"
            )
        if Path(root).parent != Path(self.file.folders.results):
            raise InputError(
                f"{path!r} is outside the results folder {self.file.folders.results!r}: expected "
                f"{self.file.folders.results}/<preset>/{run}"
            )
        preset = self.preset(Path(root).name)
        preset.check_names(run)
        return preset, run

    @property
    def dataset_names(self) -> list[str]:
        """Every dataset that a run may name."""
        return [*KNOWN_DATASETS, *self.file.datasets]

    def overlays(self, variant: str) -> list[Overlay]:
        """The overlays that a variant's name means, such as `lr_1e3__alpha01`; InputError if one is unknown."""
        if variant == BASE:
            return []
        return [pick(self.file.variants, part, "variant") for part in variant.split(AND)]

    def title(self, variant: str) -> str:
        """What figures call a variant: its `title`, else its name."""
        return ", ".join(self.titles.get(part, part) for part in variant.split(AND))

    def data_file(self, dataset: str) -> str:
        """Where the prepared images of a dataset lie."""
        return f"{self.file.folders.data}/{dataset}.npz"

    def own_dataset(self, dataset: str) -> OwnDataset | None:
        """The entry of a user's own image folder; None for a known dataset."""
        known(self.dataset_names, dataset, "dataset")
        return self.file.datasets.get(dataset)

    def side(self, dataset: str) -> int:
        """The width and height of a dataset's images in pixels."""
        own = self.own_dataset(dataset)
        return own.side if own else KNOWN_DATASETS[dataset].side

    def mirror(self, dataset: str) -> str | None:
        """Where else than at its origin a known dataset lies."""
        mirror = self.file.mirror
        return mirror.get(dataset) if isinstance(mirror, dict) else mirror


class Preset:
    """One stack of overlays: which runs it holds, the settings of each, and the parents of each."""

    def __init__(self, config: Config, name: str):
        self.config, self.name = config, name
        self.root = f"{config.file.folders.results}/{name}"

    @cached_property
    def scope(self) -> Scope:
        return self._stack(frozenset(), BASE).scope

    @cached_property
    def energy(self) -> Energy:
        return self._stack(frozenset(), BASE).energy

    @cached_property
    def claims(self) -> Claims:
        return self._stack(frozenset(), BASE).claims

    def logit_scale(self, variant: str, names: frozenset[str] = frozenset()) -> str:
        """How the spiking runs of a variant that have these names read the logits."""
        return self._stack(names, variant).spiking.logit_scale

    @overload
    def settings(self, run: AnnRun) -> AnnSettings: ...
    @overload
    def settings(self, run: ConvertedRun) -> ConvertedSettings: ...
    @overload
    def settings(self, run: SnnRun) -> SnnSettings: ...
    def settings(self, run: Run) -> Settings:
        """Everything that `run` depends on beside its parents' files, and nothing else."""
        return _settings(self, run)

    def adopted(self, run: Run) -> Adopted | None:
        """The weights from elsewhere that take the place of a run's training in every variant; None: it is trained."""
        return self.config.file.adopted.get(f"{self.name}/{replace(run, variant=BASE)}")

    @cache  # noqa: B019 -- few presets a process
    def parents(self, run: Run) -> tuple[Run, ...]:
        """The runs whose checkpoints `run` starts from.

        A parent carries of the run's variant those parts alone that change its settings or one of its parents': all
        variants that agree in these share it.
        """
        if isinstance(run, AnnRun):
            return ()
        if isinstance(run, ConvertedRun):
            return (self._shared(AnnRun(run.dataset, run.student, run.variant, run.seed)),)
        starts: list[Run] = [ConvertedRun(run.dataset, run.student, run.encoder, run.variant, run.seed)]
        if METHODS[run.method].start == "ann":
            starts = [AnnRun(run.dataset, run.student, run.variant, run.seed)]
        elif given(self.settings(run).spiking).init == "calibrated":
            calibrated = replace(run, method="calibration", teacher=NO_TEACHER)
            starts = [calibrated, AnnRun(run.dataset, run.student, run.variant, run.seed)]
        shared = tuple(self._shared(start) for start in starts)
        if run.teacher == NO_TEACHER:
            return shared
        if METHODS[run.method].chained:
            student, above = pair_above(run, self.scope)
            teacher: Run = replace(run, student=student, teacher=above)
        else:
            teacher = AnnRun(run.dataset, run.teacher, run.variant, run.seed)
        return (*shared, self._shared(teacher))

    def ancestors(self, runs: list[Run]) -> list[Run]:
        """`runs` and all that they rest on, each once, parents before children."""
        order: dict[Run, None] = {}

        def visit(run: Run) -> None:
            if run not in order:
                for parent in self.parents(run):
                    visit(parent)
                order[run] = None

        for run in runs:
            visit(run)
        return list(order)

    def folder(self, run: Run) -> str:
        """The folder that holds the run's files."""
        return f"{self.root}/{run}"

    def has_training_log(self, run: Run) -> bool:
        """Whether the run trains and so leaves a line for each epoch in `log.jsonl`."""
        training = getattr(self.settings(run), "training", None)
        return training is not None and training.epochs > 0

    def check_names(self, run: Run) -> None:
        """InputError if a word of the run is unknown, or if its method and its teacher don't fit."""
        self.config.own_dataset(run.dataset)
        self.config.overlays(run.variant)
        networks, side = self.config.networks, self.config.side(run.dataset)
        if isinstance(run, AnnRun):
            known(networks.known, run.network, "network")
            networks.check_at(run.network, side)
            check_levels(run, self.settings(run))
            if images := self.settings(run).data.train_images:
                self.settings(run).data.trained_on(images)
            return
        known(networks.students, run.student, "student")
        known(ENCODERS, run.encoder, "encoder")
        if isinstance(run, SnnRun):
            check_method(run, self.scope, networks)
            settings = self.settings(run)
            check_options(run, settings)
            for name in (run.student, run.teacher):
                networks.check_at(name, side, settings.taps)

    def check(self) -> None:
        """InputError if the scope names what doesn't exist, or an own network for which its images are too small."""
        variants = [BASE, *self.config.file.variants]
        check_scope(self.scope, self.name, self.config.dataset_names, variants, self.config.networks)
        check_readings(self)
        if plan := self.scope.benchmark:
            known(
                self.config.file.presets,
                plan.trials,
                f"preset of preset {self.name!r} in config: scope.benchmark.trials",
            )
        for dataset in filter(None, self.scope.datasets.values()):
            for name in (*self.scope.students, *self.scope.teachers):
                self.config.networks.check_at(name, self.config.side(dataset))

    def _shared(self, parent: Run) -> Run:
        parts = [] if parent.variant == BASE else parent.variant.split(AND)
        for part in list(parts):
            fewer = [other for other in parts if other != part]
            without = replace(parent, variant=AND.join(fewer) or BASE)
            if self.settings(without) == self.settings(parent) and self.parents(without) == self.parents(parent):
                parts = fewer
        return replace(parent, variant=AND.join(parts) or BASE)

    @cache  # noqa: B019
    def _stack(self, names: frozenset[str], variant: str) -> Protocol:
        file = self.config.file
        content = without_for(file.protocol)
        overlays = [file.protocol, file.presets[self.name]]
        overlays += self.config.overlays(variant)
        for overlay in overlays:
            content = merged(content, without_for(overlay))
            for key, inner in entries(overlay):
                if names.issuperset(key.split("+")):
                    content = merged(content, inner)
        return checked(Protocol, content, f"config: preset {self.name!r}, variant {variant!r}")


@cache
def _settings(preset: Preset, run: Run) -> Settings:
    config = preset.config
    own, teacher = config.file.architectures.get(run.network_name), run.network_name in config.networks.teachers
    return picked(run, preset._stack(run.names, run.variant), own, teacher, preset.adopted(run))


def dump(settings: Settings) -> str:
    """Settings as one line of JSON: what a rule passes to its job."""
    return settings.model_dump_json()


def restore(run: Run, text: str) -> Settings:
    """Settings of `run` from the JSON that `dump` printed."""
    try:
        return SETTINGS[run.kind].model_validate_json(text)
    except ValidationError as error:
        raise InputError(f"--settings: {first(error, SETTINGS[run.kind])}") from None


def identity(run: Run) -> dict[str, object]:
    """The run's fields, with its kind, for JSON files."""
    return {"kind": run.kind, "path": str(run)} | {field.name: getattr(run, field.name) for field in fields(run)}
