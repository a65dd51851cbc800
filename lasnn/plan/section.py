"""What every section of the configuration is: frozen, strict, lists without doubles."""

import posixpath
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
