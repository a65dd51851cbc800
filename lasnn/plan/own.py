"""What config.yaml holds beside the protocol: own networks and images, adopted weights, names that it gives."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from lasnn.errors import InputError
from lasnn.plan.overlays import Count, Folder, Overlay, Positive, Rate, Section, parsed
from lasnn.plan.runs import AND, BASE, NAME
from lasnn.plan.vocabulary import (
    ENCODERS,
    KNOWN_DATASETS,
    MAX_POOL,
    METHODS,
    NO_TEACHER,
    POOL,
    POOLS,
    STUDENTS,
    TAPS,
    TEACHERS,
    Architecture,
    known,
    pick,
    sides_of,
)

LEAST_CHANNELS = 8  # what `lasnn.networks.plain.scaled` leaves


def _feature(value: object) -> object:
    if isinstance(value, int) and not isinstance(value, bool):
        if value < LEAST_CHANNELS:
            raise ValueError(f"{value} channels: a layer has at least {LEAST_CHANNELS}")
    elif value not in (POOL, MAX_POOL):
        raise ValueError(f"{value!r} is neither a number of channels nor a pool ({POOL} average, {MAX_POOL} maximum)")
    return value


Dropout = Annotated[float, Field(ge=0, lt=1)]


class OwnArchitecture(Section):
    """A network of the user's own, as config.yaml defines it; the fields are those of `Architecture`."""

    ALWAYS = ("title", "strides", "kernel", "hidden", "fc", "conv_dropout", "fc_dropout")

    family: Literal["plain", "residual", "plain_bn", "residual_bn"]
    title: str | None = None
    features: Annotated[tuple[Annotated[int | str, BeforeValidator(_feature)], ...], Field(min_length=1)]
    strides: tuple[Positive, ...] = ()
    kernel: Positive = 3
    stem: Literal["deep", "single"] = "deep"
    block: Literal["basic"] = "basic"
    hidden: Count = 0
    fc: Count = 0
    conv_dropout: Dropout = 0.0
    fc_dropout: Dropout = 0.0

    @model_validator(mode="after")
    def parts_agree(self) -> "OwnArchitecture":
        """What a family reads, and what makes sense of it."""
        pools = [index for index, feature in enumerate(self.features) if isinstance(feature, str)]
        if self.family.startswith("residual"):
            if pools:
                raise ValueError(
                    f"features[{pools[0]}] is a pool, which family {self.family} has not: list the channels of its "
                    "blocks, and strides beside them"
                )
            if len(self.strides) != len(self.features):
                raise ValueError(
                    f"{len(self.features)} features and {len(self.strides)} strides: family {self.family} needs one "
                    "stride for each"
                )
        elif self.strides:
            raise ValueError(f"family {self.family} has no strides: use pools ({POOL}), or family residual")
        if self.family != "residual" and (self.stem, self.block) != ("deep", "basic"):
            raise ValueError(f"family {self.family} has neither stem nor block: they are of family residual")
        if pools and pools[0] == 0:
            raise ValueError("features begins with a pool: a convolution comes first")
        if twice := [index for index in pools if index + 1 in pools]:
            raise ValueError(f"features[{twice[0]}] and the next are both pools: put a convolution between them")
        if self.family == "plain" and MAX_POOL in self.features:
            raise ValueError(
                f"features[{self.features.index(MAX_POOL)}] is a max pool ({MAX_POOL}), which a spiking network can't "
                f"compute from rates: use {POOL}, or family plain_bn for a teacher"
            )
        if self.kernel % 2 == 0:
            raise ValueError(f"kernel {self.kernel} is even: padding keeps the side only of an odd one")
        if bool(self.hidden) != bool(self.fc):
            raise ValueError(f"hidden {self.hidden} and fc {self.fc}: hidden layers and their units go together")
        if self.family != "plain" and self.hidden:
            raise ValueError(f"family {self.family} has no hidden linear layers: leave out hidden and fc")
        if self.family != "plain" and self.fc_dropout:
            raise ValueError(f"family {self.family} has no hidden linear layers: leave out fc_dropout")
        if self.family.endswith("_bn") and self.conv_dropout:
            raise ValueError(f"family {self.family} has no dropout: leave out conv_dropout")
        return self

    def architecture(self, name: str) -> Architecture:
        """The definition as the builders read it."""
        words = self.model_dump() | {"title": self.title or name}
        return Architecture(**words)


def architecture_of(name: str, own: OwnArchitecture | None) -> Architecture:
    """The definition of a network whose run's settings hold `own`; None: it is one of the paper's."""
    return own.architecture(name) if own else pick(STUDENTS | TEACHERS, name, "network")


def architecture(name: str, definition: dict[str, object]) -> Architecture:
    """The definition that a run's settings hold, as the builders read it."""
    return OwnArchitecture.model_validate_json(json.dumps(definition)).architecture(name)


@dataclass(frozen=True)
class Networks:
    """Every network that a plan may name; `own` are those of config.yaml."""

    own: Mapping[str, OwnArchitecture] = field(default_factory=dict)

    @cached_property
    def students(self) -> dict[str, Architecture]:
        """Students by name."""
        return STUDENTS | {name: arch for name, arch in self._built.items() if not arch.teacher}

    @cached_property
    def teachers(self) -> dict[str, Architecture]:
        """Analog teachers by name."""
        return TEACHERS | {name: arch for name, arch in self._built.items() if arch.teacher}

    @cached_property
    def known(self) -> dict[str, Architecture]:
        """Both."""
        return self.students | self.teachers

    @cached_property
    def spiking_teachers(self) -> dict[str, str]:
        """The word in a run's path for a student that teaches, and that student."""
        return {f"snn_{student}": student for student in self.students}

    @cached_property
    def _built(self) -> dict[str, Architecture]:
        return {name: own.architecture(name) for name, own in self.own.items()}

    def title(self, name: str) -> str:
        """What exhibits call a network."""
        return pick(self.known, name, "network").title

    @cached_property
    def student_ids(self) -> dict[str, str]:
        """Students by title."""
        return {arch.title: name for name, arch in self.students.items()}

    @cached_property
    def teacher_ids(self) -> dict[str, str]:
        """Teachers by title, spiking ones by `<title> SNN`."""
        spiking = {f"{self.students[student].title} SNN": word for word, student in self.spiking_teachers.items()}
        return {arch.title: name for name, arch in self.teachers.items()} | spiking

    def check_at(self, name: str, side: int, taps: str | None = None) -> None:
        """InputError if images of this side are too small for an own network, or a network lacks the layers of `taps`.

        Of the paper's networks, pools are left out where the side is 1.
        """
        if name not in self.known:  # a spiking teacher, which is a student too, or none
            return
        arch, room = self.known[name], side.bit_length() - 1
        if name in self.own and (pools := sum(feature in POOLS for feature in arch.features)) > room:
            raise InputError(
                f"network {name!r} has {pools} pools, of which images of {side}x{side} have room for {room}: take some "
                "out of its features"
            )
        if taps:
            try:
                TAPS[taps](sides_of(arch, side), side)
            except InputError as error:
                raise InputError(
                    f"network {name!r} on images of {side}x{side}: {error}; every network has them at sides that are "
                    "multiples of 4 from 8 to 32, and from 63 on"
                ) from None


class Folders(Section):
    results: Folder
    data: Folder


class OwnDataset(Section):
    folder: str
    side: Annotated[int, Field(ge=8, le=256)]
    resize: bool = False  # images of other sizes are scaled and cut to the middle square


class AdoptedWeights(Section):
    """Weights that were made elsewhere: their file's digest, and how their network standardises pixels in [0, 1]."""

    ALWAYS = ("mean", "std")

    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    mean: tuple[float, float, float] | None = None
    std: tuple[Rate, Rate, Rate] | None = None


class Adopted(AdoptedWeights):
    """The same, with the name that the file had."""

    file: str


class ConfigFile(Section):
    """The top level of config.yaml. `protocol`, `presets` and `variants` are overlays, checked once stacked."""

    preset: str
    folders: Folders
    mirror: str | dict[str, str] | None
    allow_subset: bool
    datasets: dict[str, OwnDataset]
    architectures: dict[str, OwnArchitecture] = Field(default_factory=dict)
    adopted: dict[str, Adopted] = Field(default_factory=dict)
    device: Literal["auto", "cpu", "cuda"]
    save_minutes: Annotated[float, Field(ge=0)]
    save_in_bucket: bool = False
    protocol: Overlay
    presets: dict[str, Overlay]
    variants: dict[str, Overlay]


ADOPTED = "adopted.yaml"
ADOPT = "python -m lasnn adopt NETWORK --weights FILE --dataset DATASET"


def recorded(path: Path | str = ADOPTED) -> dict[str, object]:
    """The entries, unchecked: `<preset>/<run>` to the file's name and digest; none where there is no such file."""
    content = parsed(path) if Path(path).exists() else {}
    if not isinstance(content, dict):
        raise InputError(f"{path} is {content!r}: a mapping from runs to files was expected")
    return content


def with_adoptions(content: object, path: Path | str = ADOPTED) -> object:
    """The content of config.yaml together with what is adopted."""
    found = recorded(path)
    return content | {"adopted": found} if found and isinstance(content, dict) else content


def weights_path(data: Path | str, adopted: "Adopted") -> Path:
    """Where an adopted file is kept below the data folder."""
    return Path(data, "adopted", f"{adopted.sha256[:32]}{Path(adopted.file).suffix}")


# Names in paths of runs and in entries `for`, and what they are the names of.
TAKEN: dict[str, Iterable[str]] = {
    "network": Networks().known,
    "method": METHODS,
    "encoder": ENCODERS,
    "teacher": {NO_TEACHER, *Networks().spiking_teachers},
    "known dataset": KNOWN_DATASETS,
    "variant": [BASE],
}


def check_names(file: ConfigFile) -> None:
    """InputError if a name that config.yaml gives can't be part of a path, or means something else already."""
    taken = {name: kind for kind, names in TAKEN.items() for name in names}
    titles = {arch.title for arch in Networks().known.values()}
    given: dict[str, Iterable[str]] = {
        "preset": file.presets,
        "variant": file.variants,
        "network": file.architectures,
        "dataset": file.datasets,
    }
    for kind, names in given.items():
        for name in names:
            where = f"config: {'architectures' if kind == 'network' else f'{kind}s'}.{name}"
            if not re.fullmatch(NAME, name):
                raise InputError(
                    f"{where}: names become parts of paths: use small letters, digits and underscores only"
                )
            if kind == "preset":
                continue
            if AND in name and kind != "network":
                raise InputError(f"{where}: {AND!r} joins two names: use a single underscore")
            if name in taken:
                raise InputError(f"{where}: {name!r} is the name of a {taken[name]} already: use another")
            taken[name] = kind
    for name, own in file.architectures.items():
        if name.startswith("snn_"):
            raise InputError(f"config: architectures.{name}: a spiking teacher's word begins with snn_: use another")
        if (title := own.title or name) in titles:
            raise InputError(f"config: architectures.{name}: the title {title!r} is taken: use another")
        titles.add(title)
    if "reference" in file.presets:
        raise InputError("config: presets.reference: results/reference holds kept results: use another name")
    if isinstance(file.mirror, dict):
        for name in file.mirror:
            known(KNOWN_DATASETS, name, "dataset in config: mirror")


def check_overrides(typed: dict[str, object], file: Mapping[str, object], words: Iterable[str]) -> None:
    """InputError if `--config` brings a preset, a variant or a dataset that config.yaml lacks and nothing typed names.

    A misspelt name would otherwise be a new one, and change nothing. `words`: all else that was typed. Another value of
    `--config` names it in a scope, or as a preset.
    """
    beside = list(words)
    for key, kind in (("presets", "preset"), ("variants", "variant"), ("datasets", "dataset")):
        given, found = typed.get(key), file.get(key)
        there: Mapping[str, object] = found if isinstance(found, Mapping) else {}
        brought: Mapping[str, object] = given if isinstance(given, Mapping) else {}
        for name in brought:
            others = typed | {key: {other: brought[other] for other in brought if other != name}}
            said = " ".join([*beside, *_named(others)])
            if name not in there and not re.search(rf"(?<![a-z0-9]){re.escape(str(name))}(?![a-z0-9])", said):
                known(there, name, f"{kind} in --config {key}")


def _named(content: object, in_scope: bool = False) -> Iterator[str]:
    """Every word that is a value, and of scopes the keys too: corners are keys."""
    if isinstance(content, Mapping):
        for key, value in content.items():
            yield from [str(key)] if in_scope else []
            yield from _named(value, in_scope or key == "scope")
    elif isinstance(content, list):
        for value in content:
            yield from _named(value, in_scope)
    else:
        yield str(content)
