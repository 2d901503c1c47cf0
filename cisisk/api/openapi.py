"""Declarations of the API's operations: validation of requests, and the OpenAPI 3 document.

The decorators of aiohttp-apispec store the declaration on the handler, and this module reads it. Only this module uses
aiohttp-apispec, apispec and webargs.
"""

from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping
from enum import Enum
from http import HTTPStatus
from typing import Any, Final, NoReturn, TypeAlias

from aiohttp import hdrs, web
from aiohttp_apispec import docs, json_schema, querystring_schema, response_schema
from aiohttp_apispec.utils import get_path, get_path_keys
from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from apispec.ext.marshmallow.common import make_schema_key, resolve_schema_instance
from marshmallow import Schema, ValidationError, fields
from webargs.aiohttpparser import AIOHTTPParser

from cisisk import __version__
from cisisk.api import json_body
from cisisk.api.json_body import BodyNotJson, UnsupportedBody
from cisisk.api.response_schemas import ERROR_HEADERS, ERRORS, Envelope, ErrorEnvelope, envelope

__all__ = [
    "BODY",
    "CSV",
    "JSON",
    "QUERY",
    "Access",
    "BodyNotJson",
    "Handler",
    "UnsupportedBody",
    "access_of",
    "body_of",
    "document",
    "loaded",
    "operation",
    "validation_middleware",
]

Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]

BODY: Final[web.RequestKey[dict[str, Any]]] = web.RequestKey("BODY", dict)
"""Key of the validated body."""
QUERY: Final[web.RequestKey[dict[str, Any]]] = web.RequestKey("QUERY", dict)
"""Key of the validated query."""

JSON: Final = json_body.JSON
CSV: Final = "text/csv"

_MAC_PATTERN: Final = (
    "^([0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5}|[0-9A-Fa-f]{2}(-[0-9A-Fa-f]{2}){5}"
    r"|[0-9A-Fa-f]{4}(\.[0-9A-Fa-f]{4}){2}|([Ss][Ee][Pp])?[0-9A-Fa-f]{12})$"
)
_ETAG: Final = {"description": "Version of the resource, for If-Match", "schema": {"type": "string"}}
_IF_MATCH: Final = {
    "in": "header",
    "name": "If-Match",
    "description": "ETag of the expected version. Without this header the current version is used",
    "schema": {"type": "string"},
}
_LAST_EVENT_ID: Final = {
    "in": "header",
    "name": "Last-Event-ID",
    "description": "Id of the last received event; the stream continues after it",
    "schema": {"type": "integer", "minimum": 0},
}
_BINARY: Final = {"type": "string", "format": "binary"}


class Access(Enum):
    """The clients that may use an operation."""

    PUBLIC = "public"
    """All clients."""
    OPTIONAL = "optional"
    """All clients if ``auth.public_register`` is on; otherwise as :attr:`SUPERADMIN`."""
    USER = "user"
    """Authenticated users, for their own data only. Not available on the control socket."""
    KNOWN = "known"
    """Authenticated users."""
    OWN = "own"
    """Authenticated users for their own data; level 0 for all data.

    The owner is ``userUuid`` of the path. If the path has none, the handler calls ``owner_of``.
    """
    SUPERADMIN = "superadmin"
    """Users with permission level 0."""


_SECURITY: Final[Mapping[Access, dict[str, Any]]] = {
    Access.PUBLIC: {"security": []},
    Access.OPTIONAL: {"security": [{}, {"bearer": []}]},
}
_ACCESS_ERRORS: Final = {
    Access.PUBLIC: (),
    Access.OPTIONAL: (401, 403),
    Access.USER: (401,),
    Access.KNOWN: (401,),
    Access.OWN: (401, 403),
    Access.SUPERADMIN: (401, 403),
}


def operation(
    *,
    summary: str,
    tag: str,
    body: Schema | None = None,
    upload: str | None = None,
    query: Schema | None = None,
    data: Schema | fields.Field[Any] | None = None,
    status: int = 200,
    errors: Collection[int] = (),
    access: Access = Access.SUPERADMIN,
    content_type: str = JSON,
    etag: bool = False,
    degraded: bool = False,
    resumable: bool = False,
    or_nothing: bool = False,
    or_csv: bool = False,
    rehearsal: Schema | None = None,
) -> Callable[[Handler], Handler]:
    """Declare an operation for the document and for ``validation_middleware``.

    Args:
        summary: short description.
        tag: group in the documentation.
        body: schema of the JSON body. The body is optional if the empty object is valid.
        upload: media type of a raw body. With ``body`` as well, the operation accepts both and the handler reads it.
        query: schema of the query; unknown parameters are ignored.
        data: schema of ``data`` in the success envelope; None means null.
        status: status code of a success.
        errors: further status codes. These are implied: 500 and 503 always, 401 if a token is used, 403 if its level
            is checked, 404 and 422 with a path parameter, 422 with a query, 400, 413, 415 and 422 with a body, 413 and
            422 with an upload, 412 with If-Match.
        access: clients that may use the operation.
        content_type: of a success; types other than JSON have a raw body without an envelope.
        etag: a success has an ETag, and PUT, PATCH and DELETE honour If-Match.
        degraded: a 503 has the schema of a success.
        resumable: a success is an event stream that honours Last-Event-ID.
        or_nothing: a success may be a 204 without a body.
        or_csv: a success may be text/csv.
        rehearsal: schema of ``data`` in the 200 of a dry run, if different from ``data``.
    """
    unknown = set(errors) - set(ERRORS)
    if unknown:
        message = f"{summary}: unknown error status {unknown}"
        raise ValueError(message)

    def decorate(handler: Handler) -> Handler:
        said = {"errors": frozenset(errors), "access": access, "etag": str(status) if etag else None, "upload": upload}
        said |= {"resumable": resumable, "or_csv": or_csv}
        said["besides"] = {"204": {"description": HTTPStatus.NO_CONTENT.phrase}} if or_nothing else {}
        said["either"] = body if upload is not None else None
        docs(summary=summary, tags=[tag], produces=[content_type], **said)(handler)
        if query is not None:
            querystring_schema(query)(handler)
        if body is not None and upload is None:
            json_schema(body)(handler)
        answer = envelope(data) if content_type == JSON else {"type": "string"}
        for code in (status, 503) if degraded else (status,):
            response_schema(answer, code, description=HTTPStatus(code).phrase)(handler)
        if rehearsal is not None:
            response_schema(envelope(rehearsal), 200, description="Result of a dry run")(handler)
        return handler

    return decorate


def body_of(request: web.Request) -> dict[str, Any]:
    """Return the validated body."""
    return request[BODY]


def loaded(schema: Schema, sent: Mapping[str, Any]) -> dict[str, Any]:
    """Validate a body that the handler has read itself. Raises Invalid."""
    try:
        values: dict[str, Any] = schema.load(sent)
    except ValidationError as error:
        raise json_body.refusal((name or "body", why) for name, why in _flattened(error.messages, "")) from error
    return values


def access_of(handler: object) -> Access | None:
    """Return the access of an operation, or None if ``handler`` is not one (a missing route or a page)."""
    return getattr(handler, "__apispec__", {}).get("access")


@web.middleware
async def validation_middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Validate query and body, and store them as ``QUERY`` and ``BODY`` of the request.

    Raises:
        Invalid: the request does not match the schemas; nested fields have dotted names such as ``contact.name``.
        BodyNotJson, UnsupportedBody, HTTPRequestEntityTooLarge: like ``json_body.read``.
    """
    for said in getattr(request.match_info.handler, "__schemas__", ()):
        loaded = await _PARSER.parse(said["schema"], request, location=said["location"])
        json_body.refuse_unstorable(loaded)
        request[BODY if said["location"] == "json" else QUERY] = loaded
    return await handler(request)


class _Parser(AIOHTTPParser):
    """A webargs parser with the bodies and errors of this API."""

    async def load_json(self, req: web.Request, schema: Schema) -> dict[str, Any]:  # noqa: ARG002 -- passed by webargs
        return await json_body.read(req)

    def handle_error(self, error: ValidationError, *_: object, **__: object) -> NoReturn:
        [(location, messages)] = error.messages_dict.items()
        whole = "body" if location == "json" else "query"
        raise json_body.refusal((name or whole, reason) for name, reason in _flattened(messages, "")) from error


_PARSER: Final = _Parser()  # stateless, so applications can share it


def _flattened(messages: object, name: str) -> Iterator[tuple[str, str]]:
    """Yield marshmallow's nested reasons with their dotted field names; the name is empty for the whole object."""
    if isinstance(messages, Mapping):
        for key, below in messages.items():
            yield from _flattened(below, name if key == "_schema" else json_body.dotted(name, key))
    elif isinstance(messages, list):
        for each in messages:
            yield from _flattened(each, name)
    else:
        yield name, str(messages)


def document(app: web.Application, *, prefix: str = "") -> dict[str, Any]:
    """Return the OpenAPI 3.0.3 document of all operations in ``app``.

    Args:
        app: an application or sub-application with all routes.
        prefix: mount path; routes of an already mounted application include it.
    """
    spec = APISpec(
        title="Cisisk",
        version=__version__,
        openapi_version="3.0.3",
        plugins=[MarshmallowPlugin(schema_name_resolver=_component_name)],
        security=[{"bearer": []}],
    )
    spec.components.security_scheme("bearer", {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"})
    for status, description in ERRORS.items():
        answer = {"description": description, "content": {JSON: {"schema": ErrorEnvelope()}}}
        headers = {"headers": ERROR_HEADERS[status]} if status in ERROR_HEADERS else {}
        spec.components.response(f"Error{status}", answer | headers)
    for route in app.router.routes():
        said = getattr(route.handler, "__apispec__", None)
        if said is not None and route.method != hdrs.METH_HEAD:
            path = get_path(route)
            path = path if path.startswith(f"{prefix}/") else prefix + path
            spec.path(path=path, operations={route.method.lower(): _described(said, route.method, get_path_keys(path))})
    return spec.to_dict()


def _described(said: Mapping[str, Any], method: str, path_keys: Collection[str]) -> dict[str, Any]:
    """Return an OpenAPI operation for a declaration. apispec resolves the marshmallow schemas in it."""
    takes = {each["location"]: each["schema"] for each in said["schemas"]}
    described = {"summary": said["summary"], "tags": list(said["tags"]), **_SECURITY.get(said["access"], {})}
    parameters = [_path_parameter(key) for key in path_keys]
    errors = {500, 503, *said["errors"], *_ACCESS_ERRORS[said["access"]]}
    if path_keys:
        errors |= {404, 422}
    if "querystring" in takes:
        parameters.append({"in": "query", "schema": takes["querystring"]})
        errors.add(422)
    if "json" in takes:
        is_required = bool(takes["json"].validate({}))
        described["requestBody"] = {"required": is_required, "content": {JSON: {"schema": takes["json"]}}}
        errors |= {400, 413, 415, 422}
    elif said["upload"]:
        described["requestBody"] = {"required": True, "content": {said["upload"]: {"schema": _BINARY}}}
        errors |= {413, 422}
        if said["either"] is not None:
            described["requestBody"]["content"][JSON] = {"schema": said["either"]}
            errors |= {400, 415}
    headers_taken = list(_header_parameters(said, method))
    if _IF_MATCH in headers_taken:
        errors.add(412)
    responses: dict[str, Any] = {str(code): f"Error{code}" for code in errors} | said["besides"]
    for code, answer in said["responses"].items():
        content = {said["produces"][0]: {"schema": answer["schema"]}}
        headers = {"headers": {"ETag": _ETAG}} if code == said["etag"] else {}
        if said["or_csv"]:
            content[CSV] = {"schema": {"type": "string"}}
        responses[code] = {"description": answer["description"], "content": content, **headers}
    return described | {"parameters": parameters + headers_taken, "responses": dict(sorted(responses.items()))}


def _header_parameters(said: Mapping[str, Any], method: str) -> Iterator[dict[str, Any]]:
    if said["etag"] and method in {hdrs.METH_PUT, hdrs.METH_PATCH, hdrs.METH_DELETE}:
        yield _IF_MATCH
    if said["resumable"]:
        yield _LAST_EVENT_ID


def _path_parameter(key: str) -> dict[str, Any]:
    parameter: dict[str, Any] = {"in": "path", "name": key, "required": True, "schema": {"type": "string"}}
    if key == "mac":
        parameter["description"] = "MAC address with or without separators, or SEP and twelve digits"
        parameter["schema"] |= {"pattern": _MAC_PATTERN, "example": "AA:BB:CC:DD:EE:01"}
    elif key.lower().endswith("uuid"):
        parameter["schema"]["format"] = "uuid"
    return parameter


def _component_name(schema: type[Schema] | Schema) -> str:
    """Return the component name of a schema, or an empty string for an inline schema.

    Envelopes, generated schemas and variants (``only``, ``exclude`` and the like) are inline: they share their class
    name with other schemas.
    """
    instance = resolve_schema_instance(schema)
    kind = type(instance)
    if issubclass(kind, Envelope) or kind.__name__ == "GeneratedSchema":
        return ""
    names = {make_schema_key(kind()): kind.__name__, make_schema_key(kind(partial=True)): f"Partial{kind.__name__}"}
    return names.get(make_schema_key(instance), "").removesuffix("Schema")
