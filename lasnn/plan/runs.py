"""A run is a value: it names one experiment, prints the path where its results live, and parses itself back.

Each kind of run has a `PATTERN`, which is at the same time its path below `results/<preset>/`, the pattern of the
Snakemake rule that makes it, and what `parse` reads. Names are `[a-z0-9_]+`, so "-" and "/" only ever separate.
"""

import json
import re
from dataclasses import dataclass, fields
from functools import cache
from hashlib import sha256
from typing import TYPE_CHECKING, ClassVar, Self

from lasnn.errors import InputError
from lasnn.plan.vocabulary import NO_TEACHER

if TYPE_CHECKING:
    from lasnn.plan.config import Preset
    from lasnn.plan.settings import Settings


BASE = "base"  # the variant that changes nothing
AND = "__"  # joins variants to one: both overlays, the right one later
NAME = r"[a-z0-9_]+"
NUMBER = r"(?:0|[1-9][0-9]*)"


@dataclass(frozen=True, order=True)
class _Run:
    """What the three kinds share. Fields of type int are numbers in the path, all others are names."""

    PATTERN: ClassVar[str]
    REVISION: ClassVar[int]  # raise it when a change of the stage's code changes its results

    def __str__(self) -> str:
        return self.PATTERN.format(**vars(self))

    @classmethod
    def from_words(cls, words: dict[str, str]) -> Self:
        """The run whose fields are these words (a rule's wildcards, a match of `PATTERN`); others are ignored."""
        given = {field.name: (field.type, words[field.name]) for field in fields(cls)}
        return cls(**{name: int(word) if kind is int else word for name, (kind, word) in given.items()})

    @property
    def kind(self) -> str:
        """First segment of the path: `ann`, `converted` or `snn`."""
        return self.PATTERN.split("/")[0]

    @property
    def id(self) -> str:
        """One readable word, for stage names and messages: `cifar10-vgg5-hybrid-poisson-T100-none-s0`."""
        words = str(self).removeprefix("snn/").split("/")
        return "-".join(word for word in words if word != BASE)

    @property
    def network_name(self) -> str:
        """The network that this run trains or converts."""
        words = vars(self)
        return str(words.get("network") or words["student"])

    @property
    def names(self) -> frozenset[str]:
        """Every word by which an entry `for:` of config.yaml can mean this run."""
        words = {str(value) for field, value in vars(self).items() if field not in ("seed", "steps", "variant")}
        if isinstance(self, SnnRun):
            words = (words - {self.teacher}) | {f"{self.encoder}-T{self.steps}"}
        return frozenset(words)


@dataclass(frozen=True, order=True)
class AnnRun(_Run):
    """An analog network trained with cross-entropy: a teacher, or a student's intermediate ANN."""

    dataset: str
    network: str
    variant: str = BASE
    seed: int = 0

    PATTERN: ClassVar[str] = "ann/{dataset}/{network}/{variant}/s{seed}"
    REVISION: ClassVar[int] = 2


@dataclass(frozen=True, order=True)
class ConvertedRun(_Run):
    """The intermediate ANN with a threshold for each spiking layer, and its accuracy over time."""

    dataset: str
    student: str
    encoder: str
    variant: str = BASE
    seed: int = 0

    PATTERN: ClassVar[str] = "converted/{dataset}/{student}/{encoder}/{variant}/s{seed}"
    REVISION: ClassVar[int] = 4


@dataclass(frozen=True, order=True)
class SnnRun(_Run):
    """A spiking network at `steps` time steps: merely converted, or trained after conversion."""

    dataset: str
    student: str
    method: str
    encoder: str
    steps: int
    teacher: str = NO_TEACHER
    variant: str = BASE
    seed: int = 0

    PATTERN: ClassVar[str] = "snn/{dataset}/{student}/{method}/{encoder}-T{steps}/{teacher}/{variant}/s{seed}"
    REVISION: ClassVar[int] = 6


Run = AnnRun | ConvertedRun | SnnRun
KINDS: dict[str, type[Run]] = {kind.PATTERN.split("/")[0]: kind for kind in (AnnRun, ConvertedRun, SnnRun)}


def parse(path: str) -> Run:
    """The run whose path below `results/<preset>/` is `path`; `parse(str(run)) == run`."""
    for kind in KINDS.values():
        types = {field.name: field.type for field in fields(kind)}
        groups = {name: f"(?P<{name}>{NUMBER if type_ is int else NAME})" for name, type_ in types.items()}
        if match := re.fullmatch(kind.PATTERN.format(**groups), path):
            return kind.from_words(match.groupdict())
    patterns = ", ".join(kind.PATTERN for kind in KINDS.values())
    raise InputError(f"no run is called {path!r}: a run's path below results/<preset>/ is one of {patterns}")


def as_snn(run: Run) -> SnnRun:
    """`run` itself, which is spiking by what it was chosen for."""
    if not isinstance(run, SnnRun):
        raise TypeError(f"{run} is no spiking run")
    return run


def split(path: str) -> tuple[str, Run]:
    """The folder `results/<preset>` in front of a run's path, and the run."""
    folder = path.strip("/").removesuffix("/model.pt")
    if match := re.fullmatch(
        rf"(?P<root>.*?)/(?P<run>(?:{'|'.join(KINDS)})/.*)", ("/" if path[:1] == "/" else "") + folder
    ):
        return match["root"], parse(match["run"])
    raise InputError(
        f"{path!r} is not the folder of a run: expected results/<preset>/<run>, such as "
        f"results/quick/{AnnRun('digits', 'vgg5')}"
    )


@cache
def fingerprint(preset: "Preset", run: Run) -> str:
    """SHA-256 of a planned run: its kind and name, its settings with the revision of the code, its parents, its images.

    Parents count by their own fingerprints. Images count by the side that the plan has for them; what they are to the
    byte is only known once they are prepared, and compared beside the fingerprint (`lasnn.results.fits`). Adopted
    weights count by the digest of their file, which is a setting.
    """
    return fingerprint_with(preset, run, preset.settings(run))


def fingerprint_with(preset: "Preset", run: Run, settings: "Settings") -> str:
    """The fingerprint that the run has with these settings in place of the planned ones."""
    parents = {str(parent): fingerprint(preset, parent) for parent in preset.parents(run)}
    said = [str(run), json.loads(settings.model_dump_json()), parents, preset.config.side(run.dataset)]
    return sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def changes(preset: "Preset", run: Run, made_with: dict[str, object]) -> list[str]:
    """Settings that a finished run was made with and the plan now has otherwise, as `section.key: was, is`."""
    planned = json.loads(preset.settings(run).model_dump_json())
    was, now = _flat(made_with), _flat(planned)
    missing = "absent"
    return [
        f"{key}: {was.get(key, missing)!r} then, {now.get(key, missing)!r} now"
        for key in dict.fromkeys([*was, *now])
        if was.get(key, missing) != now.get(key, missing)
    ]


def _flat(settings: dict[str, object] | None, prefix: str = "") -> dict[str, object]:
    flat: dict[str, object] = {}
    for key, value in (settings or {}).items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat
