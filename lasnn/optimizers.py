"""Torch's optimizers in a process that never compiles a graph."""

import inspect
from typing import TypeVar, cast

import torch

Kind = TypeVar("Kind", bound=torch.optim.Optimizer)
UNWRAPPED = ("add_param_group", "zero_grad", "state_dict", "load_state_dict")


def eager(kind: type[Kind]) -> type[Kind]:
    """The class `kind` with its methods as they are written: the same arithmetic, hooks and state.

    Torch wraps them for `torch.compile`, which is not used here. The wrappers import `torch._dynamo` and sympy, 1.2
    seconds of CPU in each job that trains. `inspect.unwrap` returns a method unchanged if it has no wrapper.
    """
    methods = {name: inspect.unwrap(getattr(kind, name)) for name in UNWRAPPED}
    methods["step"] = torch.no_grad()(inspect.unwrap(kind.step))
    return cast(type[Kind], type(kind.__name__, (kind,), methods))
