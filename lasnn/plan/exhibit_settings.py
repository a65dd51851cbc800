"""Settings on which no run depends: what a preset runs, and how exhibits count and judge."""

from typing import Annotated, ClassVar

from pydantic import Field

from lasnn.plan.section import Count, Positive, Rate, Section


class Scope(Section):
    """Which of the paper's cells a preset runs, and on what; `note` is printed under every exhibit.

    `repeated` names methods (or <method>+<variant>) whose runs with the student's usual teacher take every seed,
    `repeated_inputs` the encoders with which they do; all others then take the first one only. None: all. `own` is
    the variant that was chosen for a method by itself; its runs take the seeds of the base runs. `corners` are variants
    that set the student's size and its images, each with the variant that was chosen there for a method; those that
    `corners_once` names take the first seed alone. `readings` are variants that differ in how logits are read, by
    `spiking.logit_scale`, the one that counts as printed first: the claims are judged under each, with the seeds of the
    base runs. None: as the base runs read them. `inputs` are the encoders that cells of another one are run with, as
    where the paper's T of Poisson input is out of reach; `steps` still goes by the paper's encoder.
    """

    LATER: ClassVar[tuple[str, ...]] = ("readings", "inputs")

    note: str | None
    datasets: dict[str, str | None]
    students: Annotated[tuple[str, ...], Field(min_length=1)]
    teachers: Annotated[tuple[str, ...], Field(min_length=1)]
    teacher_of: dict[str, str]
    methods: Annotated[tuple[str, ...], Field(min_length=1)]
    focus: str
    ablations: tuple[str, ...]
    own: dict[str, str]
    low_t: tuple[str, ...]
    recipes: tuple[str, ...]
    corners: dict[str, dict[str, str]]
    corners_once: tuple[str, ...]
    spike_chain: Annotated[tuple[str, ...], Field(min_length=2)]
    steps: dict[str, Positive | None]
    seeds: Annotated[tuple[Count, ...], Field(min_length=1)]
    repeated: tuple[str, ...] | None
    repeated_inputs: tuple[str, ...] | None
    claims: tuple[str, ...]
    readings: dict[str, str] | None = None
    inputs: dict[str, str] | None = None


class Energy(Section):
    """What counts cost, and the batch size by which a sum over a batch overstates spikes; read by exhibits alone."""

    mac_pj: Rate
    ac_pj: Rate
    batch: Positive


class Claims(Section):
    """What verdicts on the paper's claims hang on: level, seeds, margins in points, speed-up; only exhibits read it."""

    alpha: Annotated[float, Field(gt=0, lt=1)]
    seeds: Annotated[int, Field(ge=2)]
    not_above: Rate
    near_ann: Rate
    teachers: Rate
    direct: Rate
    speed_up: Rate
    similar: Rate
