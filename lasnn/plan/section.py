"""What every section of the configuration is: frozen, strict, numbers in any spelling, lists without doubles."""

import math
import posixpath
import re
import typing

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

Positive = typing.Annotated[int, Field(gt=0)]
Count = typing.Annotated[int, Field(ge=0)]
Rate = typing.Annotated[float, Field(gt=0)]
Share = typing.Annotated[float, Field(ge=0, le=1)]

# A number as YAML 1.2 or JSON spells it. YAML 1.1, which Snakemake reads, takes some of these for words: 1e-05, 1e3.
NUMBER = re.compile(r"[-+]?(0o[0-7]+|0x[0-9a-fA-F]+|(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?)")
# No lists of choices: the same value twice has a meaning.
MAY_REPEAT = {"milestones", "betas", "stdb", "spike_chain", "features", "strides", "mean", "std"}


def _folder(value: object) -> object:
    """A folder without a slash behind it or a dot before it, as rules spell paths."""
    if not isinstance(value, str):
        return value
    if not value.strip() or set(value) & set("{}*?[]\n"):
        raise ValueError(f"folders: {value!r} is no folder that rules can spell: leave out {{ }} * ? [ ]")
    return posixpath.normpath(value)


Folder = typing.Annotated[str, BeforeValidator(_folder)]


class Section(BaseModel):
    """A frozen section of the configuration: an unknown key, a wrong type or an impossible value is an error.

    Keys in `LATER` came when there were results already: at their default they leave no trace in what describes a run,
    so that those results are of the same settings as before.
    """

    LATER: typing.ClassVar[tuple[str, ...]] = ()

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    @model_validator(mode="after")
    def nothing_stands_twice(self) -> "Section":
        """A list in which something stands twice would count it twice."""
        for name in type(self).model_fields:
            value = getattr(self, name)
            if isinstance(value, tuple) and name not in MAY_REPEAT and len(set(value)) < len(value):
                twice = next(one for one in value if value.count(one) > 1)
                raise ValueError(f"{name} holds {twice!r} twice: remove one, as each would be counted")
        return self

    @model_serializer(mode="wrap")
    def without_later(self, dump: SerializerFunctionWrapHandler) -> dict[str, object]:
        """Its keys without those of `LATER` that are at their default."""
        fields: dict[str, object] = dump(self)
        for name in self.LATER:
            if getattr(self, name) == type(self).model_fields[name].default:
                fields.pop(name, None)
        return fields


def spelled(model: type[BaseModel], content: object) -> object:
    """`content` with words that spell a number turned into one, where a section takes numbers and no words."""
    if not isinstance(content, dict):
        return content
    found = dict(content)
    for name, field in model.model_fields.items():
        if name not in content:
            continue
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            found[name] = spelled(field.annotation, content[name])
        elif _takes_numbers_only(field.annotation):
            found[name] = _read(content[name])
    return found


def _takes_numbers_only(annotation: object) -> bool:
    """Whether a field is a number, or a list or mapping of numbers, with None or words of a Literal at most."""
    inner = typing.get_args(annotation)
    if typing.get_origin(annotation) is typing.Literal:
        return True  # its words spell no numbers
    if typing.get_origin(annotation) is dict:
        inner = inner[1:]  # whatever the keys are
    if typing.get_origin(annotation) is typing.Annotated:
        inner = inner[:1]
    if inner:
        return all(_takes_numbers_only(one) for one in inner)
    return annotation in (int, float, type(None), Ellipsis)


def _read(value: object) -> object:
    if isinstance(value, dict):
        return {key: _read(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_read(entry) for entry in value]
    if isinstance(value, str) and NUMBER.fullmatch(value):
        base = {"0o": 8, "0x": 16}.get(value.lstrip("+-")[:2].lower())
        if base:
            return int(value.lower().replace("0o", "").replace("0x", ""), base)
        number = float(value)
        if not math.isfinite(number):
            return value
        return int(number) if number.is_integer() else number
    return value
