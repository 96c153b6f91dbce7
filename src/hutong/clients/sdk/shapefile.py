"""Reads a YAML file that holds one shape of the wire; says in which line what is wrong."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from hutong.clients.sdk.jobfile import locate, read_bytes
from hutong.clients.sdk.yaml_tree import (
    MOST_BYTES,
    BadYaml,
    FileProblem,
    JobFileError,
    Position,
    compose,
)
from hutong.core.kernel.errors import Problem
from hutong.core.kernel.pointers import extend

Model = TypeVar("Model", bound=BaseModel)
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


def load_shape(
    path: Path, model: type[Model], money: frozenset[str] = frozenset()
) -> tuple[Model, Mapping[str, Position]]:
    """Return the shape in a file, and where its parts stand; raises JobFileError with the line.

    A plain number at one of the `money` pointers is an amount of yuan; a date is its first moment in UTC.
    """
    data = read_bytes(path)
    name = path.name
    if len(data) > MOST_BYTES:
        raise _refuse(name, f"is larger than {MOST_BYTES >> 20} MiB", "write less")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _refuse(name, "is not UTF-8 text", "save it as UTF-8") from error
    try:
        document, positions = compose(text, frozenset({pointer.rpartition("/")[0] for pointer in money}))
    except BadYaml as error:
        raise JobFileError(name, (error.problem,)) from error
    if not isinstance(document, dict):
        raise _refuse(name, "is not keys and values", "such as title: Nowcasting")
    try:
        return model.model_validate(_plain(document, "", money)), positions
    except ValidationError as error:
        problems = [Problem(_pointer(each["loc"]), each["msg"]) for each in error.errors()]
        raise JobFileError(name, locate(problems, positions)) from error


def _plain(value: object, path: str, money: frozenset[str]) -> object:
    if path in money and not isinstance(value, dict):
        return {"amount": str(value)}
    if isinstance(value, dict):
        return {key: _plain(each, extend(path, str(key)), money) for key, each in value.items()}
    if isinstance(value, str) and _DATE.fullmatch(value):
        return f"{value}T00:00:00Z"
    return value


def _pointer(loc: tuple[int | str, ...]) -> str:
    path = ""
    for part in loc:
        path = extend(path, part)
    return path


def _refuse(name: str, message: str, hint: str) -> JobFileError:
    return JobFileError(name, (FileProblem(0, 0, "", message, hint),))
