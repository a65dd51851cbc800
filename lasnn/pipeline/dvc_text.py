"""dvc.yaml as text: what stages say in the same words stands once, so that each shows what is its own.

The files of a run or an exhibit have the same names below a folder of its own: DVC's templating puts that in (`vars` of
a stage, `${at}` in what is shared), YAML's anchors and merge keys repeat the rest. DVC's `foreach` and `matrix` can't
write these stages: they would call them `snn@...`, and no dvc.lock of before would be found again; and they can't give
each stage a number of `deps` or `params` of its own, while hardly two runs have the same.
"""

import json
from typing import Any, TypeVar

import yaml

Stage = dict[str, Any]  # an entry of dvc.yaml
Value = TypeVar("Value")
WIDTH = 120
AT = "${at}"  # of a stage: where its files lie; of an exhibit, their path without the ending
OWN = ("wdir", "deps", "params")  # what is never the same


class Merge(str):
    """YAML's merge key."""


def text(content: dict[str, object], stages: dict[str, Stage], places: dict[str, str]) -> str:
    """`content` and behind it `stages` as YAML; `places` has the folder of each stage that shares the rest."""
    shared = _Shared()
    written = {name: _written(name, stage, places.get(name), shared) for name, stage in stages.items()}
    whole = content | {"stages": written}
    found: str = yaml.dump(whole, Dumper=shared.dumper(), sort_keys=False, width=WIDTH, default_flow_style=None)
    return found


class _Shared:
    """Equal parts of stages as one object each, which YAML then writes once and names after the first stage."""

    def __init__(self) -> None:
        self.values: dict[str, object] = {}
        self.names: dict[int, str] = {}

    def one(self, what: str, value: Value) -> Value:
        key = json.dumps(value)
        if key not in self.values:
            self.values[key] = value
            number = 1 + sum(name.startswith(what) for name in self.names.values())
            self.names[id(value)] = f"{what}_{number}"
        return self.values[key]  # type: ignore[return-value] # equal to `value`

    def dumper(self) -> type[yaml.SafeDumper]:
        names = self.names

        class Dumper(yaml.SafeDumper):
            def ignore_aliases(self, data: object) -> bool:
                return id(data) not in names

            def generate_anchor(self, node: yaml.Node) -> str:
                (name,) = (names[data] for data, one in self.represented_objects.items() if one is node)
                return name

        Dumper.add_representer(Merge, lambda dumper, key: dumper.represent_scalar("tag:yaml.org,2002:merge", str(key)))
        return Dumper


def _written(name: str, stage: Stage, place: str | None, shared: _Shared) -> dict[str, object]:
    """A stage as it stands in the file."""
    kind = name.split("-")[0]
    found: dict[str, object] = {key: value for key, value in stage.items() if key in OWN or place is None}
    if "params" in stage:
        found["params"] = [entry for group in stage["params"] for entry in _params(kind, group, shared)]
    if place is None:
        return found
    rest = json.dumps({key: value for key, value in stage.items() if key not in OWN})
    alike = shared.one(f"{kind}_files", json.loads(rest.replace(f"{place}/", f"{AT}/").replace(f"{place}.", f"{AT}.")))
    return {"vars": [{"at": place}], Merge("<<"): alike} | found


def _params(kind: str, group: dict[str, list[str]], shared: _Shared) -> list[dict[str, list[str]]]:
    """Params of one file: those that every run of a method has, and the others."""
    found = []
    for file, keys in group.items():
        common = [key for key in keys if key.startswith("protocol.") and not key.startswith("protocol.for.")]
        if common:
            found.append({file: shared.one(f"{kind}_params", common)})
        if others := [key for key in keys if key not in common]:
            found.append({file: shared.one(f"{kind}_params", others)})
    return found
