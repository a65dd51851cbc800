"""Content read as a section of the configuration, with one line for what is wrong with it."""

import json
from collections.abc import Iterable
from typing import TypeVar, get_args, get_origin

from pydantic import BaseModel, ValidationError

from lasnn.errors import InputError

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
