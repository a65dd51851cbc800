"""How the configuration is read: YAML 1.2, overlays laid over one another, sections that are strict."""

import copy
import json
import posixpath
import typing
from collections.abc import Iterable, Mapping
from functools import cache
from io import StringIO
from pathlib import Path
from typing import TypeVar, get_args, get_origin

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)
from ruamel.yaml import YAML
from ruamel.yaml.composer import Composer
from ruamel.yaml.constructor import DuplicateKeyError, SafeConstructor
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, ScalarNode

from lasnn.errors import InputError


def parsed(path: Path | str) -> object:
    """What the file holds, unchecked; InputError if it is missing, not YAML, or has a key twice."""
    try:
        content = understood(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(
            f"no {path} in {Path.cwd()}: run from the folder that holds the project's config.yaml"
        ) from None
    except OSError as error:
        raise InputError(f"{path} can't be read ({error.strerror}): `git checkout {path}` brings it back") from None
    except (YAMLError, ValueError, TypeError, RecursionError) as error:
        raise InputError(f"{path} is not YAML: {_fault(error)}; correct that place") from None
    if content is None:
        raise InputError(
            f"{path} is empty: write `like: small` and what differs into that of a preset; `git checkout {path}` "
            "brings back one of the project"
        )
    return content


def understood(text: str) -> object:
    """What YAML text holds: mappings, lists, words, numbers, true, false and null. YAMLError if it is none."""
    return copy.deepcopy(_understood_once(text))


@cache
def _understood_once(text: str) -> object:
    """A process reads the same files several times, and config.yaml takes a quarter of a second."""
    yaml = YAML(typ="safe", pure=True)  # the C parser that may be installed beside it reads YAML 1.1
    yaml.Composer, yaml.Constructor = _Composer, _Constructor
    content: object = yaml.load(text)
    return content


def written(content: object) -> str:
    """`content` as YAML text in its own order, each innermost list or mapping in one piece, nothing by reference."""
    yaml, text = YAML(typ="safe", pure=True), StringIO()
    yaml.default_flow_style, yaml.width = None, 10_000
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment] # its type is taken from the default, None
    yaml.representer.ignore_aliases = lambda data: True
    yaml.dump(content, text)
    return text.getvalue()


class _Composer(Composer):
    """No key twice in a mapping with a merge key either, which the constructor doesn't look at."""

    def compose_mapping_node(self, anchor: str | None) -> MappingNode:
        node: MappingNode = super().compose_mapping_node(anchor)
        seen = set()
        for key, _ in node.value:
            if isinstance(key, ScalarNode):
                if key.value in seen:
                    raise DuplicateKeyError(None, None, f'found duplicate key "{key.value}"', key.start_mark)
                seen.add(key.value)
        return node


class _Constructor(SafeConstructor):
    """Dates stay words, as a folder may be called like a day; 5e4 is a whole number, 1.0 none, as it is shown."""

    def construct_yaml_float(self, node: ScalarNode) -> float | int:
        number: float = super().construct_yaml_float(node)
        return int(number) if number.is_integer() and "." not in str(node.value) else number


_Constructor.add_constructor("tag:yaml.org,2002:float", _Constructor.construct_yaml_float)
_Constructor.add_constructor("tag:yaml.org,2002:timestamp", _Constructor.construct_yaml_str)


def _fault(error: Exception) -> str:
    if not isinstance(error, MarkedYAMLError) or error.problem_mark is None:
        return " ".join(str(error).split())
    problem = str(error.problem)
    if isinstance(error, DuplicateKeyError):
        problem = problem.partition(" with value ")[0]  # which may be a whole section
    return f"line {error.problem_mark.line + 1}: {problem}"


Overlay = dict[str, object]  # section -> its settings, or a part of them


def merged(base: Overlay, overlay: Overlay) -> Overlay:
    """`base` with `overlay` laid over it, mapping by mapping; neither is changed."""
    result = dict(base)
    for key, value in overlay.items():
        below = result.get(key)
        if isinstance(value, dict) and isinstance(below, dict):
            result[key] = merged(below, value)
        else:
            result[key] = copy.deepcopy(value)
    return result


def stacked(presets: Mapping[str, object]) -> dict[str, object]:
    """The presets, each of which `like: other` names another laid over that one; InputError for one that there isn't.

    Sections are laid over key by key. A key is replaced with all that it holds, so that `own: {}` leaves nothing.
    """

    def whole(name: str, above: tuple[str, ...]) -> object:
        overlay = presets[name]
        if not isinstance(overlay, dict) or "like" not in overlay:
            return overlay
        like = str(overlay["like"])
        if like not in presets or like in (name, *above):
            others = ", ".join(sorted(set(presets) - {name, *above}))
            raise InputError(f"config: presets.{name}.like is {like!r}: expected another preset, one of {others}")
        base = whole(like, (name, *above))
        if not isinstance(base, dict):
            return base
        own = {key: value for key, value in overlay.items() if key != "like"}
        both = [key for key, value in own.items() if isinstance(value, dict) and isinstance(base.get(key), dict)]
        return base | own | {key: base[key] | own[key] for key in both}

    return {name: whole(name, ()) for name in presets}


def without_for(overlay: Overlay) -> Overlay:
    """The part of an overlay that means every run."""
    return {key: value for key, value in overlay.items() if key != "for"}


def entries(overlay: Overlay) -> list[tuple[str, Overlay]]:
    """Its entries `for` some runs, by the names that they join."""
    found = overlay.get("for", {})
    if not isinstance(found, dict):
        raise InputError(f"config: `for` is {found!r}: a mapping from names to settings was expected")
    return [(str(key), value) for key, value in found.items()]


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

    Keys with a default came when there were results already: at it they leave no trace in what describes a run, so that
    those results are of the same settings as before. `ALWAYS` are those with a default that were there from the start.
    """

    ALWAYS: typing.ClassVar[tuple[str, ...]] = ()

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    @model_validator(mode="after")
    def no_name_is_repeated(self) -> "Section":
        """A list that names something twice would count it twice."""
        for name in type(self).model_fields:
            value = getattr(self, name)
            if isinstance(value, tuple) and name not in MAY_REPEAT and len(set(value)) < len(value):
                twice = next(one for one in value if value.count(one) > 1)
                raise ValueError(f"{name} holds {twice!r} twice: remove one, as each would be counted")
        return self

    @model_serializer(mode="wrap")
    def without_later(self, dump: SerializerFunctionWrapHandler) -> dict[str, object]:
        """Its keys without those that came later and are at their default."""
        fields: dict[str, object] = dump(self)
        for name, field in type(self).model_fields.items():
            if name not in self.ALWAYS and getattr(self, name) == field.default:
                fields.pop(name, None)
        return fields


Model = TypeVar("Model", bound=BaseModel)


def checked(model: type[Model], content: object, where: str) -> Model:
    """`content` as that section; InputError in one line that begins with `where`."""
    try:
        return model.model_validate_json(json.dumps(content))
    except ValidationError as error:
        raise InputError(f"{where}: {first(error, model)}") from None
    except TypeError as error:  # a date, say
        raise InputError(f"{where}: {error}: only numbers, words, lists and mappings are understood") from None


def first(error: ValidationError, model: type[BaseModel]) -> str:
    """One line for the first thing that pydantic complains about."""
    fault = error.errors()[0]
    key = ".".join(str(part) for part in fault["loc"])
    if fault["type"] == "extra_forbidden":
        siblings = _fields(model, fault["loc"][:-1])
        return f"unknown key {key!r}: known are {', '.join(siblings)}" if siblings else f"unknown key {key!r}"
    if fault["type"] == "missing":
        return f"key {key!r} is missing"
    if fault["type"] == "value_error":  # several keys that don't go together
        return f"{key}: {fault['ctx']['error']}" if key else str(fault["ctx"]["error"])
    return f"{key} is {fault['input']!r}: {fault['msg'][0].lower()}{fault['msg'][1:]}"


def _fields(model: type[BaseModel], path: Iterable[int | str]) -> list[str]:
    kind: object = model
    for part in path:
        if get_origin(kind) is dict:
            kind = get_args(kind)[1]
        elif isinstance(kind, type) and issubclass(kind, BaseModel) and part in kind.model_fields:
            kind = kind.model_fields[part].annotation
        else:
            return []
    if not isinstance(kind, type) or not issubclass(kind, BaseModel):
        return []
    model = kind
    return list(model.model_fields)
