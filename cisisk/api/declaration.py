"""Declarations on handlers, stored by the decorators of aiohttp-apispec.

Only this module uses that library. It is a beta release pinned to one version; its middleware and document are not
used. tests/unit/api/test_declaration.py detects an incompatible version.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web
from aiohttp_apispec import docs, json_schema, querystring_schema, response_schema
from aiohttp_apispec.utils import get_path, get_path_keys
from marshmallow import Schema

_DETAILS: Final = "cisisk"
"""Key of the details among the arguments of ``docs``, which keeps unknown arguments."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """A success response.

    Attributes:
        status: status code.
        schema: marshmallow or OpenAPI schema of the body.
        description: description for the document.
    """

    status: int
    schema: Schema | Mapping[str, Any]
    description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """The declaration of one operation.

    Attributes:
        summary: short description.
        tag: group in the documentation.
        content_type: content type of a success.
        details: details of this API, which the library only keeps.
        body: schema of the JSON body that is validated before the handler runs.
        query: schema of the query that is validated before the handler runs.
        responses: the success responses.
    """

    summary: str
    tag: str
    content_type: str
    details: Any
    body: Schema | None
    query: Schema | None
    responses: Collection[Response]


def declare(handler: Any, declaration: Declaration) -> None:
    """Store a declaration on a handler."""
    docs(
        summary=declaration.summary,
        tags=[declaration.tag],
        produces=[declaration.content_type],
        **{_DETAILS: declaration.details},
    )(handler)
    if declaration.query is not None:
        querystring_schema(declaration.query)(handler)
    if declaration.body is not None:
        json_schema(declaration.body)(handler)
    for response in declaration.responses:
        response_schema(response.schema, response.status, description=response.description)(handler)


def declaration_of(handler: object) -> Declaration | None:
    """Return the declaration of a handler, or None if it is not an operation."""
    found = getattr(handler, "__apispec__", None)
    if found is None:
        return None
    schemas = {each["location"]: each["schema"] for each in found["schemas"]}
    return Declaration(
        summary=found["summary"],
        tag=found["tags"][0],
        content_type=found["produces"][0],
        details=found[_DETAILS],
        body=schemas.get("json"),
        query=schemas.get("querystring"),
        responses=[
            Response(status=int(status), schema=each["schema"], description=each["description"])
            for status, each in found["responses"].items()
        ],
    )


def details_of(handler: object) -> Any:
    """Return the details of an operation, or None. Faster than :func:`declaration_of`."""
    return getattr(handler, "__apispec__", {}).get(_DETAILS)


def checked_schemas(handler: object) -> Iterator[tuple[str, Schema]]:
    """Yield location (``json`` or ``querystring``) and schema of each validated part of a request."""
    for each in getattr(handler, "__schemas__", ()):
        yield each["location"], each["schema"]


def path_of(route: web.AbstractRoute) -> str:
    """Return the path of a route with parameters in braces."""
    path: str = get_path(route)
    return path


def parameters_of(path: str) -> Iterable[str]:
    """Return the parameter names of a path."""
    names: list[str] = get_path_keys(path)
    return names
