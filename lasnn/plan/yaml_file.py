"""YAML 1.2, read strictly: one clear line for what is no YAML, and for a key that is there twice."""

from io import StringIO
from pathlib import Path

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
        raise InputError(
            f"{path} can't be read ({error.strerror}): `git checkout config.yaml` brings it back"
        ) from None
    except (YAMLError, ValueError, TypeError, RecursionError) as error:
        raise InputError(f"{path} is not YAML: {_fault(error)}; correct that place") from None
    if content is None:
        raise InputError(f"{path} is empty: `git checkout config.yaml` brings it back")
    return content


def understood(text: str) -> object:
    """What YAML text holds: mappings, lists, words, numbers, true, false and null. YAMLError if it is none."""
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
    """Dates stay words, as a folder may be called like a day; a whole number is one in any spelling, as in 5e4."""

    def construct_yaml_float(self, node: ScalarNode) -> float | int:
        number: float = super().construct_yaml_float(node)
        return int(number) if number.is_integer() else number


_Constructor.add_constructor("tag:yaml.org,2002:float", _Constructor.construct_yaml_float)
_Constructor.add_constructor("tag:yaml.org,2002:timestamp", _Constructor.construct_yaml_str)


def _fault(error: Exception) -> str:
    if not isinstance(error, MarkedYAMLError) or error.problem_mark is None:
        return " ".join(str(error).split())
    problem = str(error.problem)
    if isinstance(error, DuplicateKeyError):
        problem = problem.partition(" with value ")[0]  # which may be a whole section
    return f"line {error.problem_mark.line + 1}: {problem}"
