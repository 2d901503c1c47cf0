"""Handlers of the audit log, health, greeting and OpenAPI document."""

from aiohttp import web

from cisisk.api.context import DOCUMENT, HEALTH, SETTINGS, database, uuid_of
from cisisk.api.envelope import reply, reply_page
from cisisk.api.openapi import QUERY, Access, operation
from cisisk.api.schemas.listing import AuditQuery, UserAuditQuery
from cisisk.api.schemas.system import AuditEntryOut, HealthOut, HelloOut
from cisisk.model.listing import Listing
from cisisk.store import audit

_ENTRY = AuditEntryOut()


@operation(summary="Read the audit log", tag="Audit log", query=AuditQuery(), data=AuditEntryOut(many=True))
async def find_audit_logs(request: web.Request) -> web.Response:
    """GET /audit-logs."""
    return await _audit_logs(request, None)


@operation(summary="Read one user's audit log", tag="Audit log", query=UserAuditQuery(), data=AuditEntryOut(many=True))
async def find_audit_logs_of_user(request: web.Request) -> web.Response:
    """GET /audit-logs/by-user/{userUuid}. Works for deleted users as well."""
    return await _audit_logs(request, uuid_of(request, "userUuid"))


async def _audit_logs(request: web.Request, user_uuid: str | None) -> web.Response:
    listing = Listing(**request[QUERY])
    page = await database(request).read(audit.entries, listing, user_uuid)
    return reply_page(request, "log(s) found", _ENTRY, page, listing)


@operation(summary="Show the health of Cisisk", tag="System", data=HealthOut(), access=Access.PUBLIC, degraded=True)
async def health(request: web.Request) -> web.Response:
    """GET /health."""
    state = await request.config_dict[HEALTH].check()
    message = "Service is healthy" if state["status"] == "ok" else "Service is degraded"
    return reply(request, message, state, status=200 if state["status"] == "ok" else 503)


@operation(summary="Show the greeting", tag="System", data=HelloOut(), access=Access.PUBLIC)
async def hello(request: web.Request) -> web.Response:
    """GET /hello."""
    data = {
        "greeting": "This is Cisisk",
        "documentation": "/api/docs",
        "environment": request.config_dict[SETTINGS].server.environment,
    }
    return reply(request, "Hello", data)


async def openapi(request: web.Request) -> web.Response:
    """GET /openapi.json: the document without an envelope."""
    return web.Response(body=request.config_dict[DOCUMENT](), content_type="application/json")
