"""Accounts as an institution's directory describes them (SCIM 2.0, RFC 7643), and changes to them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hutong.core.kernel.errors import Problem, Refused

TEXT_AT_MOST = 200
OPERATIONS_AT_MOST = 100
# What we keep of a user, by its name in lower case: names of attributes have no case (RFC 7643, 2.1).
KEPT = {"username": "userName", "externalid": "externalId", "displayname": "displayName", "active": "active"}
_URN = "urn:ietf:params:scim:schemas:core:2.0:user:"


@dataclass(frozen=True, slots=True)
class ScimUser:
    """A person as the directory of their institution describes them."""

    person: str
    institution: str
    user_name: str
    external_id: str = ""
    display_name: str = ""
    active: bool = True
    made_ms: int = 0
    changed_ms: int = 0


@dataclass(frozen=True, slots=True)
class Described:
    """What a request says of a user."""

    user_name: str
    external_id: str
    display_name: str
    name: str  # what to call them: the display name, else what else there is
    active: bool


@dataclass(frozen=True, slots=True)
class Suspension:
    """A person who may not sign in now: since when, and by whose word."""

    person: str
    by: str
    at_ms: int


def bad(kind: str, path: str, message: str) -> Refused:
    """Return the refusal of a value; `kind` is SCIM's own word for it (RFC 7644, 3.12)."""
    error = Refused(kind, message, (Problem(path, message),))
    error.status = 400
    return error


def describe(document: Mapping[str, object]) -> Described:
    """Return what a user's document says; other attributes are left out. Raises Refused (`invalidValue`)."""
    said = {KEPT[name.lower()]: value for name, value in document.items() if name.lower() in KEPT}
    user_name = _text(said, "userName")
    if not user_name:
        raise bad("invalidValue", "/userName", "userName is required")
    shown = _text(said, "displayName")
    name = shown or _formatted(document) or user_name
    active = said.get("active")
    return Described(user_name, _text(said, "externalId"), shown, name, active is None or truth(active))


def truth(value: object) -> bool:
    """Return a boolean; some directories write it as a text. Raises Refused."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in {"true", "false"}:
        return value.lower() == "true"
    raise bad("invalidValue", "/active", "active is true or false")


def _text(said: Mapping[str, object], name: str) -> str:
    value = said.get(name)
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > TEXT_AT_MOST or not value.isprintable():
        raise bad("invalidValue", f"/{name}", f"{name} is a printable text of up to {TEXT_AT_MOST} signs")
    return value.strip()


def _formatted(document: Mapping[str, object]) -> str:
    name = next((value for key, value in document.items() if key.lower() == "name"), None)
    if not isinstance(name, Mapping):
        return ""
    parts = {str(key).lower(): value for key, value in name.items() if isinstance(value, str)}
    whole = parts.get("formatted") or f"{parts.get('givenname', '')} {parts.get('familyname', '')}"
    return whole.strip()[:TEXT_AT_MOST] if whole.isprintable() else ""


def patched(document: Mapping[str, object], operations: object) -> dict[str, object]:
    """Return a user's document after the operations of a PATCH (RFC 7644, 3.5.2). Raises Refused."""
    if not isinstance(operations, Sequence) or isinstance(operations, str) or not operations:
        raise bad("invalidSyntax", "/Operations", "Operations is a list with at least one operation")
    if len(operations) > OPERATIONS_AT_MOST:
        raise bad("tooMany", "/Operations", f"at most {OPERATIONS_AT_MOST} operations")
    changed = dict(document)
    for index, each in enumerate(operations):
        if not isinstance(each, Mapping):
            raise bad("invalidSyntax", f"/Operations/{index}", "an operation is an object")
        _apply(changed, each, f"/Operations/{index}")
    return changed


def _apply(changed: dict[str, object], operation: Mapping[str, object], where: str) -> None:
    verb = str(operation.get("op", "")).lower()
    path, value = operation.get("path"), operation.get("value")
    if verb not in {"add", "replace", "remove"}:
        raise bad("invalidSyntax", f"{where}/op", "op is add, replace or remove")
    if path is not None and not isinstance(path, str):
        raise bad("invalidPath", f"{where}/path", "path is a text")
    if verb == "remove":
        if not path:
            raise bad("noTarget", f"{where}/path", "remove needs a path")
        _set(changed, path, None, where)
    elif path:
        _set(changed, path, value, where)
    elif isinstance(value, Mapping):
        for name, part in value.items():
            _set(changed, str(name), part, where)
    else:
        raise bad("invalidValue", f"{where}/value", "without a path, value is an object of attributes")


def _set(changed: dict[str, object], path: str, value: object, where: str) -> None:
    name = path.lower().removeprefix(_URN)
    if name in {"id", "meta", "schemas"}:
        if name == "schemas":
            return
        raise bad("mutability", f"{where}/path", f"{path[:60]} is read-only")
    if name not in KEPT:
        return  # an attribute that we do not keep; what it was set to is not shown either (RFC 7644, 3.3)
    if value is None and name == "username":
        raise bad("mutability", f"{where}/path", "userName cannot be removed")
    changed[KEPT[name]] = value
