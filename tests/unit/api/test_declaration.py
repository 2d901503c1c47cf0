"""Whether the installed aiohttp-apispec still writes on a handler what ``declaration`` reads.

When one of these tests fails after an update, correct ``cisisk/api/declaration.py``: no other module knows the library.
"""

from aiohttp import web
from marshmallow import Schema, fields

from cisisk.api.declaration import (
    Declaration,
    Response,
    checked_schemas,
    declaration_of,
    declare,
    details_of,
    parameters_of,
    path_of,
)


class Named(Schema):
    name = fields.String(required=True)


BODY, QUERY, ANSWER, DETAILS = Named(), Named(), Named(), object()


def declared(body: Schema | None = BODY, query: Schema | None = QUERY) -> Declaration:
    return Declaration(
        summary="Create a thing",
        tag="things",
        content_type="application/json",
        details=DETAILS,
        body=body,
        query=query,
        responses=[
            Response(status=201, schema=ANSWER, description="Created"),
            Response(status=200, schema={"type": "string"}, description="OK"),
        ],
    )


async def handle(_request: web.Request) -> web.Response:
    return web.Response()


def handler(declaration: Declaration) -> object:
    async def declared_handler(request: web.Request) -> web.Response:
        return await handle(request)

    declare(declared_handler, declaration)
    return declared_handler


def test_declaration_is_read_back_unchanged() -> None:
    found = declaration_of(handler(declared()))
    assert found == declared()
    assert found is not None
    assert (found.body, found.query) == (BODY, QUERY)


def test_declaration_without_body_and_query_is_read_back_unchanged() -> None:
    assert declaration_of(handler(declared(None, None))) == declared(None, None)


def test_details_are_kept() -> None:
    assert details_of(handler(declared())) is DETAILS


def test_schemas_of_query_and_body_are_checked() -> None:
    assert sorted(location for location, _ in checked_schemas(handler(declared()))) == ["json", "querystring"]
    assert dict(checked_schemas(handler(declared())))["json"] is BODY


def test_handler_without_declaration_has_none() -> None:
    assert declaration_of(handle) is None
    assert details_of(handle) is None
    assert list(checked_schemas(handle)) == []


def test_path_and_its_parameters_are_found() -> None:
    app = web.Application()
    fixed = app.router.add_get("/things", handle)
    varying = app.router.add_get("/things/{uuid}/parts/{number}", handle)
    assert path_of(fixed) == "/things"
    assert path_of(varying) == "/things/{uuid}/parts/{number}"
    assert list(parameters_of(path_of(varying))) == ["uuid", "number"]
