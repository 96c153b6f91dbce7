"""A YAML document of a person's file as one of the wire's shapes, or what is wrong with it and where."""

from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import ValidationError

from hutong.core.kernel.errors import Problem, Refused
from hutong.wire.base import Shape

Model = TypeVar("Model", bound=Shape)

BYTES_AT_MOST = 1 << 20


def read_document(shape: type[Model], path: Path) -> Model:
    """Return the document in a file; raises Refused that names the file and the field."""
    try:
        if path.stat().st_size > BYTES_AT_MOST:
            raise Refused("bad_file", f"{path} is larger than {BYTES_AT_MOST} bytes")
        document = yaml.load(path.read_text(encoding="utf-8"), _Plain)  # noqa: S506 - a safe loader
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise Refused("bad_file", f"{path} cannot be read: {error}") from error
    try:
        return shape.model_validate(document)
    except ValidationError as error:
        problems = tuple(
            Problem("/" + "/".join(map(str, each["loc"])), each["msg"]) for each in error.errors()
        )
        raise Refused("bad_file", f"{path} is not as it should be", problems) from error


class _Plain(yaml.SafeLoader):
    """Leaves days and times as they are written."""


_Plain.yaml_implicit_resolvers = {
    letter: [(tag, pattern) for tag, pattern in each if tag != "tag:yaml.org,2002:timestamp"]
    for letter, each in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
