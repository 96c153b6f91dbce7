"""Users, schemas and settings as SCIM 2.0 shows them (RFC 7643)."""

from collections.abc import Sequence

from hutong.core.accounts.scim_users import ScimUser
from hutong.wire.base import rfc3339

USER = "urn:ietf:params:scim:schemas:core:2.0:User"
LIST = "urn:ietf:params:scim:api:messages:2.0:ListResponse"
ERROR = "urn:ietf:params:scim:api:messages:2.0:Error"
_CONFIG = "urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"
_TYPE = "urn:ietf:params:scim:schemas:core:2.0:ResourceType"
_SCHEMA = "urn:ietf:params:scim:schemas:core:2.0:Schema"
PAGE_AT_MOST = 200
_ALWAYS = frozenset({"schemas", "id"})

Document = dict[str, object]


def user_shape(base: str, user: ScimUser) -> Document:
    """Return a user."""
    shown: Document = {
        "schemas": [USER],
        "id": user.person,
        "userName": user.user_name,
        "active": user.active,
        "meta": {
            "resourceType": "User",
            "created": rfc3339(user.made_ms),
            "lastModified": rfc3339(user.changed_ms),
            "location": f"{base}/Users/{user.person}",
        },
    }
    if user.display_name:
        shown["displayName"] = user.display_name
    if user.external_id:
        shown["externalId"] = user.external_id
    return shown


def chosen(document: Document, attributes: str, excluded: str) -> Document:
    """Return the attributes that were asked for (RFC 7644, 3.9); `id` is always there."""
    wanted = {_top(name) for name in attributes.split(",") if name.strip()}
    unwanted = {_top(name) for name in excluded.split(",") if name.strip()}
    return {
        name: value
        for name, value in document.items()
        if name in _ALWAYS or ((not wanted or name.lower() in wanted) and name.lower() not in unwanted)
    }


def _top(name: str) -> str:
    return name.strip().lower().removeprefix(f"{USER.lower()}:").partition(".")[0]


def list_shape(resources: Sequence[Document], total: int, start: int = 1) -> Document:
    """Return a list."""
    return {
        "schemas": [LIST],
        "totalResults": total,
        "startIndex": start,
        "itemsPerPage": len(resources),
        "Resources": list(resources),
    }


def error_shape(status: int, kind: str, detail: str) -> Document:
    """Return an error (RFC 7644, 3.12)."""
    told: Document = {"schemas": [ERROR], "status": str(status), "detail": detail}
    return {**told, "scimType": kind} if kind else told


def config_shape(base: str) -> Document:
    """Return what the service can do."""
    return {
        "schemas": [_CONFIG],
        "patch": {"supported": True},
        "bulk": {"supported": False, "maxOperations": 0, "maxPayloadSize": 0},
        "filter": {"supported": True, "maxResults": PAGE_AT_MOST},
        "changePassword": {"supported": False},
        "sort": {"supported": False},
        "etag": {"supported": False},
        "authenticationSchemes": [
            {
                "type": "oauthbearertoken",
                "name": "Bearer token",
                "description": "A token of one institution, made by the platform's operator",
                "primary": True,
            }
        ],
        "meta": {"resourceType": "ServiceProviderConfig", "location": f"{base}/ServiceProviderConfig"},
    }


def type_shape(base: str) -> Document:
    """Return the one type of resources that there is."""
    return {
        "schemas": [_TYPE],
        "id": "User",
        "name": "User",
        "endpoint": "/Users",
        "description": "People of an institution",
        "schema": USER,
        "meta": {"resourceType": "ResourceType", "location": f"{base}/ResourceTypes/User"},
    }


def schema_shape(base: str) -> Document:
    """Return the attributes of a user that are kept."""
    return {
        "schemas": [_SCHEMA],
        "id": USER,
        "name": "User",
        "description": "People of an institution",
        "attributes": [
            _attribute("userName", "Unique in the institution", required=True, unique="server"),
            _attribute("displayName", "The name that others see"),
            _attribute("active", "Whether they may sign in", kind="boolean", required=True),
        ],
        "meta": {"resourceType": "Schema", "location": f"{base}/Schemas/{USER}"},
    }


def _attribute(
    name: str, text: str, *, kind: str = "string", required: bool = False, unique: str = "none"
) -> Document:
    made: Document = {
        "name": name,
        "type": kind,
        "multiValued": False,
        "description": text,
        "required": required,
        "mutability": "readWrite",
        "returned": "default",
    }
    return made | ({"caseExact": False, "uniqueness": unique} if kind == "string" else {})
