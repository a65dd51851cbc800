"""The top level of config.yaml, typed and checked."""

from typing import Annotated, Literal

from pydantic import Field

from lasnn.plan.architectures import OwnArchitecture
from lasnn.plan.overlays import Overlay
from lasnn.plan.section import Folder, Section
from lasnn.plan.settings import AdoptedWeights


class Folders(Section):
    results: Folder
    data: Folder


class OwnDataset(Section):
    folder: str
    side: Annotated[int, Field(ge=8, le=256)]


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
    protocol: Overlay
    presets: dict[str, Overlay]
    variants: dict[str, Overlay]
