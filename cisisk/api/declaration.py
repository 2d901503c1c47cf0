"""What the decorators of aiohttp-apispec write on a handler, and how it is read back.

No other module knows that library. It is a beta release that is pinned to one version; its own middleware and document
are not used. tests/unit/api/test_declaration.py tells whether another version still fits.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web
from aiohttp_apispec import docs, json_schema, querystring_schema, response_schema
from aiohttp_apispec.utils import get_path, get_path_keys
from marshmallow import Schema

_DETAILS: Final = "cisisk"
"""The key of an operation's details among the arguments of ``docs``, which keeps arguments that it does not know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """A successful answer.

    Attributes:
        schema: of the body: a marshmallow schema, or an OpenAPI one.
    """

    status: int
    schema: Schema | Mapping[str, Any]
    description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """What is declared of one operation.

    Attributes:
        details: of the API's own, which the library only keeps.
        body: of the JSON object that is checked before the handler is called.
        query: likewise of the query.
    """

    summary: str
    tag: str
    content_type: str
    details: Any
    body: Schema | None
    query: Schema | None
    responses: Collection[Response]


def declare(handler: Any, declaration: Declaration) -> None:
    """Write a declaration on a handler."""
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
    """Return what is declared of a handler; None if it is no operation."""
    found = getattr(handler, "__apispec__", None)
    if found is None:
        return None
    taken = {each["location"]: each["schema"] for each in found["schemas"]}
    return Declaration(
        summary=found["summary"],
        tag=found["tags"][0],
        content_type=found["produces"][0],
        details=found[_DETAILS],
        body=taken.get("json"),
        query=taken.get("querystring"),
        responses=[
            Response(status=int(status), schema=each["schema"], description=each["description"])
            for status, each in found["responses"].items()
        ],
    )


def details_of(handler: object) -> Any:
    """Return the details of an operation; None if the handler is none. Quicker than the whole declaration."""
    return getattr(handler, "__apispec__", {}).get(_DETAILS)


def checked_schemas(handler: object) -> Iterator[tuple[str, Schema]]:
    """Yield the location, ``json`` or ``querystring``, and the schema of each part that is checked of a request."""
    for each in getattr(handler, "__schemas__", ()):
        yield each["location"], each["schema"]


def path_of(route: web.AbstractRoute) -> str:
    """Return a route's path, with its parameters in braces."""
    path: str = get_path(route)
    return path


def parameters_of(path: str) -> Iterable[str]:
    """Return the names of a path's parameters."""
    names: list[str] = get_path_keys(path)
    return names
