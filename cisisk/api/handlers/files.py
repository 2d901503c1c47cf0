"""Handlers of the files of the served directory."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import closing
from typing import Any, Final, Protocol, TypeVar

from aiohttp import hdrs, web

from cisisk.api.context import LIBRARY, LIMITS, UPLOAD_THREADS, UPLOADS, actor, seen_versions
from cisisk.api.envelope import reply, reply_page
from cisisk.api.openapi import QUERY, operation
from cisisk.api.schemas.file import FileOut, FileQuery, UnpackedOut
from cisisk.model.errors import Invalid, NotFound, Stale, TooLarge
from cisisk.model.listing import Listing
from cisisk.provisioning import files
from cisisk.provisioning.library import Stamp
from cisisk.provisioning.source import NotServed

log = logging.getLogger(__name__)

CHUNK: Final = 256 << 10
"""Bytes of one disk operation."""
BINARY: Final = "application/octet-stream"

_FILE, _UNPACKED = FileOut(), UnpackedOut()
_Result = TypeVar("_Result")


class _Incoming(Protocol):
    @property
    def limit(self) -> int: ...
    def write(self, chunk: bytes) -> None: ...


@operation(summary="List files", tag="Files", query=FileQuery(), data=FileOut(many=True))
async def find(request: web.Request) -> web.Response:
    """GET /files."""
    wanted: dict[str, Any] = request[QUERY]
    kind = wanted["kind"]
    listing = Listing(**{name: value for name, value in wanted.items() if name != "kind"})
    page = await _in_thread(request, files.page, request.config_dict[LIBRARY], listing, kind)
    return reply_page(request, "file(s) found", _FILE, page, listing)


@operation(summary="Download a file", tag="Files", content_type=BINARY, etag=True)
async def download(request: web.Request) -> web.StreamResponse:
    """GET /files/{path}."""
    path, library = request.match_info["path"], request.config_dict[LIBRARY]
    stamp = await _stamp(request)
    if stamp is None:
        raise NotFound("File not found")
    try:
        content = await _in_thread(request, library.open, path)
    except NotServed as error:
        raise NotFound("File not found") from error
    with closing(content):
        response = web.StreamResponse(
            headers={
                hdrs.CONTENT_TYPE: BINARY,
                hdrs.CONTENT_DISPOSITION: "attachment",
                hdrs.CACHE_CONTROL: "no-store",
                "X-Content-Type-Options": "nosniff",
            }
        )
        response.content_length = content.size
        response.etag = _tag(stamp)
        await response.prepare(request)
        if request.method == hdrs.METH_HEAD:
            return response
        for offset in range(0, content.size, CHUNK):
            await response.write(await _in_thread(request, content.read, offset, CHUNK))
    return response


@operation(summary="Upload a file", tag="Files", upload=BINARY, data=FileOut(), errors=(409,), etag=True)
async def upload(request: web.Request) -> web.Response:
    """PUT /files/{path}."""
    path, uploads = request.match_info["path"], request.config_dict[UPLOADS]
    incoming = await _in_thread(request, uploads.begin, path, actor(request))
    try:
        await _require_current(request)
        await _receive(request, incoming)
        await _require_current(request)
        await _in_thread(request, incoming.finish)
    finally:
        await _in_thread(request, incoming.discard)
    file = await _in_thread(request, files.find, request.config_dict[LIBRARY], path)
    response = reply(request, "File uploaded", _FILE.dump(file))
    if stamp := await _stamp(request):
        response.etag = _tag(stamp)
    return response


@operation(
    summary="Upload and unpack a zip, tar or tar.gz archive",
    tag="Files",
    upload=BINARY,
    data=UnpackedOut(),
    status=201,
    errors=(409,),
)
async def unpack(request: web.Request) -> web.Response:
    """POST /files."""
    incoming = await _in_thread(request, request.config_dict[UPLOADS].begin_package, actor(request))
    try:
        await _receive(request, incoming)
        paths = await _in_thread(request, incoming.finish)
    finally:
        await _in_thread(request, incoming.discard)
    found = [await _in_thread(request, files.find, request.config_dict[LIBRARY], path) for path in paths]
    return reply(request, f"{len(found)} file(s) unpacked", _UNPACKED.dump({"files": found}), status=201)


@operation(summary="Delete a file", tag="Files", errors=(409,), etag=True)
async def delete(request: web.Request) -> web.Response:
    """DELETE /files/{path}."""
    await _require_current(request)
    await _in_thread(request, request.config_dict[UPLOADS].remove, request.match_info["path"], actor(request))
    return reply(request, "File deleted")


async def _receive(request: web.Request, incoming: _Incoming) -> None:
    """Write the body to ``incoming`` as it arrives.

    Raises:
        Invalid: the upload stopped, was cut off, or does not match its headers.
        TooLarge, StorageFailed: like ``incoming.write``.
    """
    if (request.content_length or 0) > incoming.limit:
        raise TooLarge(f"The file is larger than {incoming.limit} bytes")
    pending, seconds = bytearray(), request.config_dict[LIMITS].upload_pause_seconds
    try:
        while True:
            async with asyncio.timeout(seconds):
                chunk = await request.content.readany()
            pending += chunk
            if pending and (not chunk or len(pending) >= CHUNK):
                await _in_thread(request, incoming.write, bytes(pending))
                pending.clear()
            if not chunk:
                return
    except TimeoutError as error:
        raise Invalid.field("body", f"The upload stopped for {seconds:.0f} s. Upload the file again") from error
    except web.RequestPayloadError as error:
        raise Invalid.field("body", "The upload was cut off, or its encoding does not match its headers") from error


async def _require_current(request: web.Request) -> None:
    """Honour If-Match. Raises Stale."""
    seen = seen_versions(request)
    if seen is None:
        return
    stamp = await _stamp(request)
    if stamp is None or _tag(stamp) not in seen:
        raise Stale("The file was changed or deleted meanwhile")


async def _stamp(request: web.Request) -> Stamp | None:
    return await _in_thread(request, request.config_dict[LIBRARY].stamp, request.match_info["path"])


def _tag(stamp: Stamp) -> str:
    return "-".join(f"{part:x}" for part in stamp)


async def _in_thread(request: web.Request, work: Callable[..., _Result], *arguments: Any) -> _Result:
    """Run ``work`` in a thread for uploads, where it may wait for the disk and for the event loop."""
    return await asyncio.get_running_loop().run_in_executor(request.config_dict[UPLOAD_THREADS], work, *arguments)
