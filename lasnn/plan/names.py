"""Names that a configuration gives: each becomes a part of a path, and none may be read as a name of another kind."""

import re
from collections.abc import Container, Iterable, Mapping

from lasnn.errors import InputError
from lasnn.plan.architectures import Networks
from lasnn.plan.config_file import ConfigFile
from lasnn.plan.known_datasets import KNOWN as DATASETS
from lasnn.plan.lookup import known
from lasnn.plan.runs import AND, BASE, NAME
from lasnn.plan.vocabulary import ENCODERS, METHODS, NO_TEACHER

KINDS: dict[str, Container[str]] = {
    "network": Networks().known,
    "method": METHODS,
    "encoder": ENCODERS,
    "teacher": {NO_TEACHER, *Networks().spiking_teachers},
}
RESERVED = {"reference": "results/reference holds kept results"}  # below the results folder


def check_names(file: ConfigFile) -> None:
    """InputError if a preset, a variant or a dataset has a name that no path can hold or that means something else."""
    given: dict[str, Iterable[str]] = {"presets": file.presets, "variants": file.variants, "datasets": file.datasets}
    for key, names in given.items():
        for name in names:
            if not re.fullmatch(NAME, name):
                raise InputError(
                    f"config: {key}.{name}: names become parts of paths: use small letters, digits and underscores only"
                )
            if key != "presets" and AND in name:
                raise InputError(f"config: {key}.{name}: {AND!r} joins two names: use a single underscore")
    for name, why in RESERVED.items():
        if name in file.presets:
            raise InputError(f"config: presets.{name}: {why}: use another name")
    if clash := set(file.datasets) & set(DATASETS):
        raise InputError(f"config: datasets.{min(clash)} is a known dataset's name: use another, or `mirror`")
    for name in (*file.datasets, *file.variants):
        for kind, taken in KINDS.items():
            if name in taken:
                raise InputError(f"config: {name!r} is the name of a {kind} already: use another")
    if clash := set(file.datasets) & ({BASE} | set(file.variants)):
        raise InputError(f"config: {min(clash)!r} names a dataset and a variant: use another for one of them")
    if isinstance(file.mirror, dict):
        for name in file.mirror:
            known(DATASETS, name, "dataset in config: mirror")


def check_overrides(typed: Mapping[str, object], file: Mapping[str, object], words: Iterable[str]) -> None:
    """InputError if `--config` brings a preset, a variant or a dataset that config.yaml lacks and nothing typed names.

    A misspelt name would otherwise be a new one, and change nothing. `words`: all else that was typed.
    """
    said = " ".join([str(typed.get("preset", "")), *words])
    for key, kind in (("presets", "preset"), ("variants", "variant"), ("datasets", "dataset")):
        given, found = typed.get(key), file.get(key)
        there: Iterable[str] = found if isinstance(found, Mapping) else ()
        for name in given if isinstance(given, Mapping) else ():
            if name not in there and not re.search(rf"(?<![a-z0-9]){re.escape(str(name))}(?![a-z0-9])", said):
                known(there, name, f"{kind} in --config {key}")
