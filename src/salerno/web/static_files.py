"""Style sheet, script and mark, served from the package under an address that names their content."""

from __future__ import annotations

import hashlib
from pathlib import Path

from litestar import get
from litestar.params import FromPath
from litestar.response import Response

from salerno.kernel.errors import NotFound

FOLDER = Path(__file__).with_name("static")
MEDIA_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


class StaticFiles:
    """The files of the package, read once; a changed file has a new address, so browsers may keep them."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self.addresses: dict[str, str] = {}
        self.contents: dict[str, tuple[bytes, str]] = {}
        for path in sorted(folder.iterdir()):
            content = path.read_bytes()
            name = f"{path.stem}-{hashlib.sha256(content).hexdigest()[:12]}{path.suffix}"
            self.addresses[path.name] = f"/static/{name}"
            self.contents[name] = content, MEDIA_TYPES[path.suffix]

    def address(self, name: str) -> str:
        """The address of a file, e.g. of ``portal.css``."""
        return self.addresses[name]

    def response(self, name: str) -> Response[bytes]:
        """The file by the name in its address.

        Raises:
            NotFound: There is no file, or no longer, of that name and content.
        """
        if name not in self.contents:
            raise NotFound("no-such-file", "There is no such file")
        content, media_type = self.contents[name]
        kept = {"Cache-Control": "public, max-age=31536000, immutable"}
        return Response(content, media_type=media_type, headers=kept)


STATIC = StaticFiles()


@get("/static/{name:str}", sync_to_thread=False, include_in_schema=False)
def static_file(name: FromPath[str]) -> Response[bytes]:
    """One file of the portal."""
    return STATIC.response(name)
