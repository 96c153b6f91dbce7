"""Page assets: names that carry a hash of the content, so that a browser may keep them for a year."""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from hutong.core.kernel.errors import NotFound

FOLDER = Path(__file__).parent / "assets"
_MEDIA = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


@dataclass(frozen=True, slots=True)
class Asset:
    """One file, read at start; `url` changes whenever the content does."""

    name: str
    content: bytes
    media: str
    digest: str

    @property
    def url(self) -> str:
        """Where the page finds it."""
        return f"/assets/{self.digest[:16]}/{self.name}"


def load_assets(folder: Path = FOLDER) -> Mapping[str, Asset]:
    """Return every asset by its name, such as `portal.css` or `vendor/htmx.min.js`."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix in _MEDIA and path.is_file():
            name, content = path.relative_to(folder).as_posix(), path.read_bytes()
            found[name] = Asset(name, content, _MEDIA[path.suffix], sha256(content).hexdigest())
    return found


def serve_asset(assets: Mapping[str, Asset], request: Request) -> Response:
    """Answer a request for `/assets/{digest}/{name}`; another digest is another file, so not found."""
    asset = assets.get(request.path_params["name"])
    if asset is None or request.path_params["digest"] != asset.digest[:16]:
        raise NotFound("not_found", "there is no such file")
    headers = {"Cache-Control": "public, max-age=31536000, immutable", "ETag": f'"{asset.digest[:16]}"'}
    if headers["ETag"] in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(asset.content, headers=headers, media_type=asset.media)
