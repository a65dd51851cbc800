"""From all sections of an overlay stack to the settings of one run: those that it depends on, and nothing else."""

from lasnn.plan.architectures import OwnArchitecture
from lasnn.plan.config_file import Adopted
from lasnn.plan.runs import AnnRun, Run, SnnRun
from lasnn.plan.settings import SETTINGS, AdoptedWeights, Protocol, Settings
from lasnn.plan.vocabulary import METHODS, Method


def picked(
    run: Run, protocol: Protocol, own: OwnArchitecture | None, teacher: bool, adopted: Adopted | None
) -> Settings:
    """The settings of `run`, whose network is an `own` one, a teacher, or filled with adopted weights."""
    sections = {name: getattr(protocol, name) for name in Protocol.model_fields}
    if isinstance(run, AnnRun):
        sections["training"] = protocol.teacher if teacher else protocol.ann
        if teacher:  # levels are for what is converted
            sections["network"] = protocol.network.model_copy(update={"levels": None})
        if adopted:
            sections["training"] = None
            sections["adopted"] = AdoptedWeights(**adopted.model_dump(exclude={"file"}))
    if isinstance(run, SnnRun):
        method = METHODS[run.method]
        sections["training"] = protocol.student if method.trained else None
        read = {*method.sections, *(("label_kd",) if _teaches_labels(method, protocol) else ())}
        others = {name for other in METHODS.values() for name in other.sections} - read
        for section in (*others, *method.unread):
            sections[section] = None
    if own:
        sections["architecture"] = own.model_copy(update={"title": None})  # what exhibits call it changes no run
        network = sections["network"].model_copy(update={"width": 1.0, "fc": None})  # it is built as written
        sections["network"] = network
    kind = SETTINGS[run.kind]
    taken = {name: sections[name] for name in kind.model_fields if name != "revision" and name in sections}
    return kind(revision=run.REVISION, **taken)


def _teaches_labels(method: Method, protocol: Protocol) -> bool:
    """Whether a layer-wise method is to learn from the teacher's logits as well."""
    return "attention" in method.sections and protocol.attention.labels
