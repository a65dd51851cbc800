"""config/README.md, written from what config.yaml says of each key and from the types that check it.

python -m tests.config_page
"""

import json
import re
from pathlib import Path

from lasnn.plan.config import whole
from lasnn.plan.own import ConfigFile
from lasnn.plan.settings import Protocol

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "config" / "README.md"
HEAD = """# Configuration

Everything is in [`config.yaml`](../config.yaml), beside this folder, and in a file for each preset,
[`config/presets/<name>.yaml`](presets). A key of a preset, or of `--config` on the command line, is laid over the one
here: `snakemake --cores 1 tables --config preset=small`. Unknown keys, wrong types and impossible values stop the
workflow before its first job, in one line.

`[P]` is printed in the paper, `[B]` is read in the code that it builds on, `[R]` in the code of a method's authors;
where it is silent, `[S]` is our decision ([docs/choices.md](../docs/choices.md)). An entry of `protocol.for` (or of a
preset's `for`) applies to the runs that have all its names: a dataset, a network, a method, an encoder, or encoder and
steps as in `poisson-T100`. [docs/extending.md](../docs/extending.md) has own images, networks and presets.

This page is written by `python -m tests.config_page`.
"""
LINE = re.compile(r"(?P<blanks> *)(?P<key>[\w.+-]+):(?P<rest>.*)")
COMMENT = re.compile(r"(?:^|\s)#\s(?P<text>.*)$")


def comments(text: str) -> dict[str, str]:
    """What stands behind each key of config.yaml, by its path; a comment on lines of its own goes on."""
    found: dict[str, str] = {}
    path: list[str] = []
    for line in text.split("\nvariants:")[0].splitlines():
        said = COMMENT.search(line)
        if entry := LINE.fullmatch(line):
            path = [*path[: len(entry["blanks"]) // 2], entry["key"]]
            found[".".join(path)] = said["text"].strip() if said else ""
        elif said and path and (line.startswith("        ") or "]" in line):
            found[".".join(path)] = f"{found['.'.join(path)]} {said['text'].strip()}".strip()
    return found


def taken(schema: dict) -> str:
    """What a key takes, in a few words."""
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(taken(one) for one in schema["anyOf"]))
    if values := schema.get("enum", [schema["const"]] if "const" in schema else []):
        return ", ".join(f"`{value}`" for value in values)
    words = {"boolean": "true, false", "array": "list", "object": "mapping", "string": "text", "null": "null"}
    kind = words.get(schema.get("type", "object"), schema.get("type", "object"))
    signs = {"exclusiveMinimum": ">", "minimum": "≥", "exclusiveMaximum": "<", "maximum": "≤"}
    bounds = [f"{sign} {schema[name]:g}" for name, sign in signs.items() if name in schema]
    return " ".join([kind, *bounds])


def table(keys: dict[str, dict], values: dict, said: dict[str, str], other: dict[str, str]) -> str:
    """A line for each key; `other`: what is said of the same keys elsewhere."""
    lines = ["| key | default | takes | what it means |", "|---|---|---|---|"]
    for key, schema in keys.items():
        default = json.dumps(values.get(key, schema.get("default")), ensure_ascii=False)
        default = default if len(default) < 60 else f"{default[:56]} ..."
        cells = [f"`{key}`", f"`{default}`", taken(schema), said.get(key) or other.get(key, "")]
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def below(found: dict[str, str], name: str) -> dict[str, str]:
    """What is said of the keys right below one."""
    return {key.rsplit(".", 1)[1]: text for key, text in found.items() if key.rpartition(".")[0] == name}


def text() -> str:
    """The page."""
    content, found = whole(ROOT / "config.yaml"), comments((ROOT / "config.yaml").read_text(encoding="utf-8"))
    top = {key: one for key, one in ConfigFile.model_json_schema()["properties"].items() if key in content}
    own = {key: one for key, one in top.items() if key not in ("protocol", "presets", "variants")}
    parts = [
        HEAD,
        "## The top of config.yaml\n",
        table(own, content, found, {"adopted": "written by `python -m lasnn adopt`"}),
    ]
    schema = Protocol.model_json_schema()
    for name, section in schema["properties"].items():
        keys = schema["$defs"][re.search(r"\$defs/(\w+)", json.dumps(section))[1]]["properties"]
        inherited = below(found, "protocol.teacher") if name in ("ann", "student") else {}
        what = found.get(f"protocol.{name}", "")
        parts.append(f"## protocol.{name}{f': {what}' if what else ''}\n")
        parts.append(table(keys, content["protocol"][name] or {}, below(found, f"protocol.{name}"), inherited))
    presets = sorted((ROOT / "config" / "presets").glob("*.yaml"))
    firsts = {path.stem: COMMENT.search(path.read_text(encoding="utf-8").splitlines()[0]) for path in presets}
    parts.append("## Presets\n")
    parts.append("".join(f"- `{name}`{': ' + first['text'] if first else ''}\n" for name, first in firsts.items()))
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(text(), encoding="utf-8")
