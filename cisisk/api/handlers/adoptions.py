"""Handler of directory imports."""

from pathlib import Path

from aiohttp import web

from cisisk.api.context import DIRECTORY_IMPORT, SETTINGS, USER, actor, came_over_control_socket, database
from cisisk.api.envelope import reply
from cisisk.api.openapi import body_of, operation
from cisisk.api.schemas.adoption import AdoptionIn, ReportOut
from cisisk.model.errors import Forbidden, Invalid, NotFound
from cisisk.store import users

_REPORT = ReportOut()


@operation(
    summary="Import a directory: its configs become phones and profiles",
    tag="Files",
    body=AdoptionIn(),
    data=ReportOut(),
    errors=(409,),
)
async def create(request: web.Request) -> web.Response:
    """POST /adoptions."""
    body = body_of(request)
    directory = body.get("directory")
    if directory is not None and not came_over_control_socket(request):
        # Administrators of Cisisk must not be able to read every file of the server.
        raise Forbidden("A directory can be given only on the server: run cisisk adopt DIRECTORY there")
    path = request.config_dict[SETTINGS].served_root if directory is None else Path(directory)
    owner = await _owner(request, body.get("user_uuid"))
    owners = {each["mac"]: await _owner(request, each["user_uuid"]) for each in body["owners"]}
    report = await request.config_dict[DIRECTORY_IMPORT].run(actor(request), path, owner, owners)
    return reply(request, f"{report.profiles} profile(s) imported", _REPORT.dump(report))


async def _owner(request: web.Request, wanted: str | None) -> str:
    """Return the uuid of the owner of the profiles. Raises Invalid."""
    if wanted is not None:
        try:
            return (await database(request).read(users.get, wanted)).uuid
        except NotFound as error:
            raise Invalid.field("user_uuid", "No such user") from error
    if USER in request:
        return request[USER].uuid
    first = await database(request).read(users.first_superadmin)
    if first is None:
        raise Invalid.field("user_uuid", "There is no superadmin. Set user_uuid to the owner of the profiles")
    return first
