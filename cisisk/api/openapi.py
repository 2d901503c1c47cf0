"""Declarations of the API's operations: validation of requests, and the OpenAPI 3 document.

``declaration`` keeps the declarations on the handlers. Only this module uses apispec and webargs.
"""

from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from http import HTTPStatus
from typing import Any, Final, NoReturn, TypeAlias

from aiohttp import hdrs, web
from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from apispec.ext.marshmallow.common import make_schema_key, resolve_schema_instance
from marshmallow import Schema, ValidationError, fields
from webargs.aiohttpparser import AIOHTTPParser

from cisisk import __version__
from cisisk.api import declaration, json_body
from cisisk.api.declaration import Declaration, Response
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Details:
    """What aiohttp-apispec has no place for: the arguments of ``operation`` of the same names."""

    access: Access
    errors: frozenset[int]
    etag: int | None
    upload: str | None
    body_or_upload: Schema | None
    resumable: bool
    may_be_empty: bool
    or_csv: bool


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
    may_be_empty: bool = False,
    or_csv: bool = False,
    dry_run_data: Schema | None = None,
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
        may_be_empty: a success may be a 204 without a body.
        or_csv: a success may be text/csv.
        dry_run_data: schema of ``data`` in the 200 of a dry run, if different from ``data``.
    """
    unknown = set(errors) - set(ERRORS)
    if unknown:
        message = f"{summary}: unknown error status {unknown}"
        raise ValueError(message)

    answer = envelope(data) if content_type == JSON else {"type": "string"}
    responses = [
        Response(status=code, schema=answer, description=HTTPStatus(code).phrase)
        for code in ((status, 503) if degraded else (status,))
    ]
    if dry_run_data is not None:
        responses.append(Response(status=200, schema=envelope(dry_run_data), description="Result of a dry run"))
    declared = Declaration(
        summary=summary,
        tag=tag,
        content_type=content_type,
        details=_Details(
            access=access,
            errors=frozenset(errors),
            etag=status if etag else None,
            upload=upload,
            body_or_upload=body if upload is not None else None,
            resumable=resumable,
            may_be_empty=may_be_empty,
            or_csv=or_csv,
        ),
        body=body if upload is None else None,
        query=query,
        responses=responses,
    )

    def decorate(handler: Handler) -> Handler:
        declaration.declare(handler, declared)
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
    details: _Details | None = declaration.details_of(handler)
    return None if details is None else details.access


@web.middleware
async def validation_middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Validate query and body, and store them as ``QUERY`` and ``BODY`` of the request.

    Raises:
        Invalid: the request does not match the schemas; nested fields have dotted names such as ``contact.name``.
        BodyNotJson, UnsupportedBody, HTTPRequestEntityTooLarge: like ``json_body.read``.
    """
    for location, schema in declaration.checked_schemas(request.match_info.handler):
        loaded = await _PARSER.parse(schema, request, location=location)
        json_body.refuse_unstorable(loaded)
        request[BODY if location == "json" else QUERY] = loaded
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
        declared = declaration.declaration_of(route.handler)
        if declared is not None and route.method != hdrs.METH_HEAD:
            path = declaration.path_of(route)
            path = path if path.startswith(f"{prefix}/") else prefix + path
            described = _described(declared, route.method, declaration.parameters_of(path))
            spec.path(path=path, operations={route.method.lower(): described})
    return spec.to_dict()


def _described(declared: Declaration, method: str, path_keys: Iterable[str]) -> dict[str, Any]:
    """Return an OpenAPI operation for a declaration. apispec resolves the marshmallow schemas in it."""
    details: _Details = declared.details
    described = {"summary": declared.summary, "tags": [declared.tag], **_SECURITY.get(details.access, {})}
    parameters = [_path_parameter(key) for key in path_keys]
    errors = {500, 503, *details.errors, *_ACCESS_ERRORS[details.access]}
    if parameters:
        errors |= {404, 422}
    if declared.query is not None:
        parameters.append({"in": "query", "schema": declared.query})
        errors.add(422)
    if declared.body is not None:
        is_required = bool(declared.body.validate({}))
        described["requestBody"] = {"required": is_required, "content": {JSON: {"schema": declared.body}}}
        errors |= {400, 413, 415, 422}
    elif details.upload:
        described["requestBody"] = {"required": True, "content": {details.upload: {"schema": _BINARY}}}
        errors |= {413, 422}
        if details.body_or_upload is not None:
            described["requestBody"]["content"][JSON] = {"schema": details.body_or_upload}
            errors |= {400, 415}
    headers_taken = list(_header_parameters(details, method))
    if _IF_MATCH in headers_taken:
        errors.add(412)
    responses: dict[str, Any] = {str(code): f"Error{code}" for code in errors}
    if details.may_be_empty:
        responses["204"] = {"description": HTTPStatus.NO_CONTENT.phrase}
    for response in declared.responses:
        content: dict[str, Any] = {declared.content_type: {"schema": response.schema}}
        headers = {"headers": {"ETag": _ETAG}} if response.status == details.etag else {}
        if details.or_csv:
            content[CSV] = {"schema": {"type": "string"}}
        responses[str(response.status)] = {"description": response.description, "content": content, **headers}
    return described | {"parameters": parameters + headers_taken, "responses": dict(sorted(responses.items()))}


def _header_parameters(details: _Details, method: str) -> Iterator[dict[str, Any]]:
    if details.etag and method in {hdrs.METH_PUT, hdrs.METH_PATCH, hdrs.METH_DELETE}:
        yield _IF_MATCH
    if details.resumable:
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
