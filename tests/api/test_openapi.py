import gzip
import json
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient
from hypothesis import given
from hypothesis import strategies as st
from marshmallow import Schema, ValidationError, fields, validate, validates_schema
from openapi_schema_validator import OAS30Validator
from openapi_spec_validator import validate as validate_document
from pytest_aiohttp.plugin import AiohttpClient

from cisisk.api import json_body
from cisisk.api.openapi import (
    BODY,
    QUERY,
    Access,
    BodyNotJson,
    Handler,
    UnsupportedBody,
    document,
    operation,
    validation_middleware,
)
from cisisk.model.errors import CisiskError, Invalid
from cisisk.model.mac import Mac

Client = TestClient[web.Request, web.Application]

STATUS: dict[type[CisiskError], int] = {BodyNotJson: 400, UnsupportedBody: 415, Invalid: 422}
UUID = "6f2f4fd4-6f2b-4cf2-9d0c-6a0f4f6d3c11"


class ContactSchema(Schema):
    name = fields.String(required=True)
    numbers = fields.List(fields.Integer())


class DeskIn(Schema):
    name = fields.String(required=True, validate=validate.Length(max=40))
    floor = fields.Integer(allow_none=True)
    height = fields.Float()
    software = fields.String(validate=validate.OneOf(["SCCP", "SIP"]))
    contact = fields.Nested(ContactSchema)
    notes = fields.Dict(keys=fields.String(), values=fields.Raw())

    @validates_schema
    def refuse_the_cellar(self, data: dict[str, Any], **_: object) -> None:
        if (data.get("floor") or 0) < 0:
            raise ValidationError("There are no desks in the cellar")


class Desk(Schema):
    uuid = fields.UUID(required=True)
    name = fields.String(required=True)


class Part(Schema):
    limit = fields.Integer(load_default=100, validate=validate.Range(1, 500))
    q = fields.String()
    model = fields.List(fields.String())


async def echo(request: web.Request) -> web.Response:
    return web.json_response({"body": request.get(BODY), "query": request.get(QUERY)})


def handler() -> Handler:
    """Return a new handler, because a description is stored on its handler."""

    async def echo_once(request: web.Request) -> web.Response:
        return await echo(request)

    return echo_once


def desk_routes() -> list[web.RouteDef]:
    tag = "Desks"
    return [
        web.get(
            "/desks",
            operation(summary="All desks", tag=tag, query=Part(), data=Desk(many=True), access=Access.USER)(handler()),
        ),
        web.post(
            "/desks",
            operation(
                summary="New desk", tag=tag, body=DeskIn(), data=Desk(), status=201, errors={409, 429}, etag=True
            )(handler()),
        ),
        web.get("/desks/{uuid}", operation(summary="One desk", tag=tag, data=Desk(), etag=True)(handler())),
        web.put(
            "/desks/{uuid}",
            operation(summary="Change", tag=tag, body=DeskIn(partial=True), data=Desk(), etag=True)(handler()),
        ),
        web.delete("/desks/{deskUuid:[^/]+}", operation(summary="Remove", tag=tag, etag=True)(handler())),
        web.get("/names", operation(summary="Names", tag=tag, data=fields.List(fields.String()))(handler())),
        web.get("/config/{mac}", operation(summary="XML", tag=tag, content_type="application/xml")(handler())),
        web.get(
            "/health",
            operation(summary="Health", tag=tag, data=Desk(only=("name",)), access=Access.PUBLIC, degraded=True)(
                handler()
            ),
        ),
        web.get(
            "/desks/{uuid}/events",
            operation(
                summary="Follow",
                tag=tag,
                query=Part(),
                content_type="text/event-stream",
                resumable=True,
                may_be_empty=True,
            )(handler()),
        ),
        web.get("/undescribed", echo),
    ]


@web.middleware
async def show_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except CisiskError as error:
        shown = {"message": str(error), "fields": getattr(error, "fields", None)}
        return web.json_response(shown, status=STATUS[type(error)])


def toy_app() -> web.Application:
    app = web.Application(middlewares=[show_errors, validation_middleware], client_max_size=64 * 1024)
    app.add_routes(desk_routes())
    return app


@pytest.fixture
async def client(aiohttp_client: AiohttpClient) -> Client:
    return await aiohttp_client(toy_app())


async def post(client: Client, body: bytes, content_type: str = "application/json", **headers: str) -> tuple[int, Any]:
    headers = {"Content-Type": content_type} | {name.replace("_", "-"): value for name, value in headers.items()}
    response = await client.post("/desks", data=body, headers=headers)
    is_json = response.content_type == "application/json"
    return response.status, await response.json() if is_json else await response.text()


def described(method: str, path: str) -> dict[str, Any]:
    found: dict[str, Any] = document(toy_app())["paths"][path][method]
    return found


# The document


def test_document_is_valid_openapi_3() -> None:
    produced = document(toy_app(), prefix="/api/v1")
    validate_document(produced)
    assert produced["openapi"] == "3.0.3"


def test_document_of_apps_with_same_handlers_is_equal() -> None:
    routes = desk_routes()
    said = repr([getattr(route.handler, "__apispec__", None) for route in routes])
    documents = []
    for _ in range(2):
        app = web.Application()
        app.add_routes(routes)
        documents += [json.dumps(document(app)), json.dumps(document(app))]
    assert len(set(documents)) == 1
    assert repr([getattr(route.handler, "__apispec__", None) for route in routes]) == said


def test_document_of_rebuilt_app_is_equal() -> None:
    assert json.dumps(document(toy_app())) == json.dumps(document(toy_app()))


def test_document_of_mounted_sub_app_is_equal() -> None:
    root, mounted = web.Application(), toy_app()
    root.add_subapp("/api/v1", mounted)
    expected = document(toy_app(), prefix="/api/v1")
    assert document(mounted) == expected
    assert document(mounted, prefix="/api/v1") == expected
    assert document(root) == expected
    assert "/api/v1/desks" in expected["paths"]


def test_document_has_only_described_operations() -> None:
    paths = document(toy_app())["paths"]
    assert "/undescribed" not in paths
    assert set(paths["/desks"]) == {"get", "post"}


def test_document_has_envelope_of_success() -> None:
    answer = described("post", "/desks")["responses"]["201"]["content"]["application/json"]["schema"]
    assert answer["properties"]["data"] == {"$ref": "#/components/schemas/Desk"}
    assert answer["properties"]["metadata"] == {"$ref": "#/components/schemas/Metadata"}
    assert answer["properties"]["success"]["enum"] == [True]
    assert answer["required"] == ["data", "message", "metadata", "success"]


@pytest.mark.parametrize(
    ("path", "items"), [("/desks", {"$ref": "#/components/schemas/Desk"}), ("/names", {"type": "string"})]
)
def test_document_has_array_and_metadata_of_list(path: str, items: dict[str, str]) -> None:
    properties = described("get", path)["responses"]["200"]["content"]["application/json"]["schema"]["properties"]
    assert properties["data"] == {"type": "array", "items": items}
    assert properties["metadata"] == {"$ref": "#/components/schemas/ListMetadata"}
    assert {"total", "limit", "offset"} <= set(
        document(toy_app())["components"]["schemas"]["ListMetadata"]["properties"]
    )


def test_document_has_null_for_no_data() -> None:
    answer = described("delete", "/desks/{deskUuid}")["responses"]["200"]["content"]["application/json"]["schema"]
    null = OAS30Validator(answer["properties"]["data"])
    assert null.is_valid(None)
    assert not null.is_valid("")
    assert not null.is_valid({})


def test_document_has_raw_body_for_xml() -> None:
    assert described("get", "/config/{mac}")["responses"]["200"]["content"] == {
        "application/xml": {"schema": {"type": "string"}}
    }


def test_document_requires_bearer_unless_public() -> None:
    produced = document(toy_app())
    assert produced["security"] == [{"bearer": []}]
    assert produced["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"
    assert produced["paths"]["/health"]["get"]["security"] == []
    assert "401" not in produced["paths"]["/health"]["get"]["responses"]
    assert "security" not in produced["paths"]["/desks"]["get"]
    assert "401" in produced["paths"]["/desks"]["get"]["responses"]


@pytest.mark.parametrize(
    ("method", "path", "codes"),
    [
        ("get", "/desks", "200 401 422 500 503"),
        ("post", "/desks", "201 400 401 403 409 413 415 422 429 500 503"),
        ("get", "/desks/{uuid}", "200 401 403 404 422 500 503"),
        ("put", "/desks/{uuid}", "200 400 401 403 404 412 413 415 422 500 503"),
        ("delete", "/desks/{deskUuid}", "200 401 403 404 412 422 500 503"),
        ("get", "/health", "200 500 503"),
    ],
)
def test_document_has_errors_of_operation(method: str, path: str, codes: str) -> None:
    assert " ".join(described(method, path)["responses"]) == codes


def test_document_has_envelope_and_headers_of_errors() -> None:
    components = document(toy_app())["components"]
    for answer in components["responses"].values():
        assert answer["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/ErrorEnvelope"}
    assert set(components["responses"]["Error401"]["headers"]) == {"WWW-Authenticate"}
    assert set(components["responses"]["Error429"]["headers"]) == {"Retry-After"}
    error = OAS30Validator({"$ref": "#/components/schemas/ErrorEnvelope", "components": components})
    metadata = {
        "timestamp": "2026-06-28T12:00:00.000Z",
        "version": "1",
        "requestId": "r",
        "ip": "127.0.0.1",
        "environment": "test",
    }
    answer = {
        "success": False,
        "message": "name: too long",
        "error": {"code": 422, "message": "name: too long", "fields": {"name": ["too long"]}},
        "metadata": metadata,
    }
    assert error.is_valid(answer)
    assert not error.is_valid(answer | {"success": True})


def test_document_has_success_envelope_for_degraded_service() -> None:
    responses = described("get", "/health")["responses"]
    assert responses["503"]["content"] == responses["200"]["content"]


def test_description_with_unknown_error_is_refused() -> None:
    with pytest.raises(ValueError, match="418"):
        operation(summary="Tea", tag="Kitchen", errors={418})


def test_document_has_etag_and_if_match_of_versioned_resource() -> None:
    changed = described("put", "/desks/{uuid}")
    assert "ETag" in changed["responses"]["200"]["headers"]
    assert [each["name"] for each in changed["parameters"] if each["in"] == "header"] == ["If-Match"]
    shown = described("get", "/desks/{uuid}")
    assert "ETag" in shown["responses"]["200"]["headers"]
    assert [each for each in shown["parameters"] if each["in"] == "header"] == []


def test_document_has_stream_type_and_last_event_id() -> None:
    followed = described("get", "/desks/{uuid}/events")
    assert followed["responses"]["200"]["content"] == {"text/event-stream": {"schema": {"type": "string"}}}
    assert followed["responses"]["204"] == {"description": "No Content"}
    assert [each["name"] for each in followed["parameters"] if each["in"] == "header"] == ["Last-Event-ID"]
    shown = described("get", "/desks/{uuid}")
    assert "204" not in shown["responses"]


def test_document_has_patterns_of_path_parameters() -> None:
    for path, name, method in (("/desks/{uuid}", "uuid", "get"), ("/desks/{deskUuid}", "deskUuid", "delete")):
        parameter = described(method, path)["parameters"][0]
        assert (parameter["in"], parameter["name"], parameter["required"]) == ("path", name, True)
        assert parameter["schema"] == {"type": "string", "format": "uuid"}
    assert described("get", "/config/{mac}")["parameters"][0]["schema"]["pattern"]


def test_document_has_query_parameters() -> None:
    limit, q, model = described("get", "/desks")["parameters"]
    assert limit["schema"] == {"type": "integer", "default": 100, "minimum": 1, "maximum": 500}
    assert (q["name"], q["in"], q["required"]) == ("q", "query", False)
    assert model["schema"]["type"] == "array"


def test_document_has_optional_body_without_required_fields() -> None:
    assert described("post", "/desks")["requestBody"]["required"] is True
    assert described("put", "/desks/{uuid}")["requestBody"]["required"] is False


def test_document_has_schema_variants() -> None:
    produced = document(toy_app())
    answer = produced["paths"]["/health"]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    assert list(answer["properties"]["data"]["properties"]) == ["name"]
    assert {"Contact", "Desk", "DeskIn", "PartialDeskIn"} <= set(produced["components"]["schemas"])


HEX = st.sampled_from("0123456789abcdefABCDEF")
FORMS = st.one_of(
    st.tuples(st.sampled_from(["", "SEP", "sep", "Sep", "SE"]), st.text(HEX, min_size=11, max_size=13)).map("".join),
    st.tuples(
        st.sampled_from([":", "-", ".", ""]), st.lists(st.text(HEX, min_size=2, max_size=2), min_size=6, max_size=6)
    ).map(lambda parts: parts[0].join(parts[1])),
    st.lists(st.text(HEX, min_size=4, max_size=4), min_size=3, max_size=3).map(".".join),
    st.text(max_size=20),
)
PATTERN = described("get", "/config/{mac}")["parameters"][0]["schema"]["pattern"]


@given(FORMS)
def test_document_pattern_of_mac_matches_parser(text: str) -> None:
    published = OAS30Validator({"type": "string", "pattern": PATTERN}).is_valid(text)
    try:
        Mac.parse(text)
    except Invalid as error:
        accepted = "no phone" in str(error)  # the pattern accepts multicast addresses
    else:
        accepted = True
    assert published == accepted


# Validation


async def test_body_that_is_valid_reaches_handler(client: Client) -> None:
    status, answer = await post(
        client, b'{"name": "Reception", "floor": "3", "contact": {"name": "B\xc3\xb6ll \\ud83d\\ude00"}}'
    )
    assert status == 200
    assert answer["body"] == {"name": "Reception", "floor": 3, "contact": {"name": "Böll 😀"}}


async def test_body_with_charset_is_accepted(client: Client) -> None:
    status, _ = await post(client, b'{"name": "a"}', "application/json; charset=utf-8")
    assert status == 200


async def test_body_compressed_is_accepted(client: Client) -> None:
    status, answer = await post(client, gzip.compress(b'{"name": "a"}'), Content_Encoding="gzip")
    assert (status, answer["body"]) == (200, {"name": "a"})


async def test_body_absent_is_empty_object(client: Client) -> None:
    response = await client.put(f"/desks/{UUID}")
    assert response.status == 200
    assert (await response.json())["body"] == {}
    response = await client.post("/desks")
    assert response.status == 422
    assert (await response.json())["fields"] == {"name": ["Missing data for required field."]}


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b'{"name": "a"', id="cut off"),
        pytest.param(b"name=a", id="form"),
        pytest.param(b'{"name": "\xff"}', id="not UTF-8"),
        pytest.param(b'{"name": "\xed\xa0\x80"}', id="surrogate in UTF-8"),
        pytest.param('{"name": "a"}'.encode("utf-16"), id="UTF-16"),
        pytest.param(b'{"name": "a\x00"}', id="raw NUL"),
        pytest.param(b'{"name": "a"} {}', id="two values"),
        pytest.param(b'{"name": "a", "height": NaN}', id="NaN"),
        pytest.param(b'{"name": "a", "height": -Infinity}', id="Infinity"),
        pytest.param(b'{"notes": ' + b"[" * 30_000 + b"]" * 30_000 + b"}", id="nested beyond the parser"),
        pytest.param(b'{"notes": ' + b'{"a":' * 500 + b"1" + b"}" * 500 + b"}", id="nested beyond the limit"),
        pytest.param(b'{"notes": ' + b"[" * json_body.MAX_DEPTH + b"]" * json_body.MAX_DEPTH + b"}", id="one too deep"),
    ],
)
@pytest.mark.wording
async def test_body_that_is_not_json_is_400(client: Client, body: bytes) -> None:
    status, answer = await post(client, body)
    assert status == 400
    assert answer["message"].startswith("The body is n")


async def test_body_with_wrong_encoding_is_400(client: Client) -> None:
    status, _ = await post(client, b"garbage", Content_Encoding="gzip")
    assert status == 400


@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "application/x-www-form-urlencoded", "application/xml", ";;;", "application/json, a/b"],
)
async def test_body_with_other_content_type_is_415(client: Client, content_type: str) -> None:
    status, _ = await post(client, b'{"name": "a"}', content_type)
    assert status == 415


@pytest.mark.parametrize("body", [b'[{"name": "a"}]', b'"a"', b"1", b"null", b"true"])
async def test_body_that_is_no_object_is_422(client: Client, body: bytes) -> None:
    status, answer = await post(client, body)
    assert (status, answer["fields"]) == (422, {"body": ["Not a JSON object"]})


@pytest.mark.parametrize(
    ("body", "refused"),
    [
        pytest.param({}, {"name": ["Missing data for required field."]}, id="missing"),
        pytest.param({"name": None}, {"name": ["Field may not be null."]}, id="null"),
        pytest.param({"name": "a", "rome": 1}, {"rome": ["Unknown field."]}, id="unknown"),
        pytest.param({"name": "a", "r\nme": 1}, {r"r\nme": ["Unknown field."]}, id="unprintable name"),
        pytest.param({"name": "a", "x" * 999: 1}, {"x" * 64: ["Unknown field."]}, id="long name"),
        pytest.param({"name": "a", "contact": {}}, {"contact.name": ["Missing data for required field."]}, id="nested"),
        pytest.param({"name": "a", "contact": 7}, {"contact": ["Invalid input type."]}, id="no object"),
        pytest.param(
            {"name": "a", "contact": {"name": "a", "numbers": [1, "b"]}},
            {"contact.numbers.1": ["Not a valid integer."]},
            id="in a list",
        ),
        pytest.param({"name": "a", "floor": -1}, {"body": ["There are no desks in the cellar"]}, id="the whole"),
        pytest.param(
            {"name": 1, "software": "x"},
            {"name": ["Not a valid string."], "software": ["Must be one of: SCCP, SIP."]},
            id="two",
        ),
    ],
)
@pytest.mark.wording
async def test_body_refused_by_schema_names_field(client: Client, body: object, refused: dict[str, list[str]]) -> None:
    status, answer = await post(client, json.dumps(body).encode())
    assert (status, answer["fields"]) == (422, refused)
    assert answer["message"].startswith(next(iter(refused)))


@pytest.mark.parametrize(
    ("body", "field"),
    [
        pytest.param(rb'{"name": "a\ud800"}', "name", id="high surrogate"),
        pytest.param(rb'{"name": "\udc00\ud800"}', "name", id="surrogates in the wrong order"),
        pytest.param(rb'{"name": "a\u0000b"}', "name", id="NUL"),
        pytest.param(rb'{"name": "a", "contact": {"name": "\ud800"}}', "contact.name", id="nested"),
        pytest.param(rb'{"name": "a", "notes": {"x": ["\ud800"]}}', "notes.x.0", id="in a list"),
        pytest.param(rb'{"name": "a", "notes": {"\ud800": 1}}', r"notes.\ud800", id="name"),
        pytest.param(rb'{"name": "a", "\u0000": 1}', r"\x00", id="unknown name"),
        pytest.param(b'{"name": "a", "floor": 9223372036854775808}', "floor", id="65 bits"),
        pytest.param(b'{"name": "a", "floor": "9223372036854775808"}', "floor", id="65 bits in a string"),
        pytest.param(b'{"name": "a", "floor": 1e300}', "floor", id="a float that becomes 997 bits"),
        pytest.param(b'{"name": "a", "floor": -' + b"9" * 5000 + b"}", "floor", id="5000 digits"),
        pytest.param(b'{"name": "a", "floor": "' + b"9" * 5000 + b'"}', "floor", id="5000 digits in a string"),
        pytest.param(b'{"name": "a", "height": 1e999}', "height", id="infinite"),
        pytest.param(b'{"name": "a", "height": "NaN"}', "height", id="NaN in a string"),
        pytest.param(b'{"name": "a", "notes": {"x": 1e999}}', "notes.x", id="infinite in the raw"),
    ],
)
async def test_body_with_unstorable_value_names_field(client: Client, body: bytes, field: str) -> None:
    status, answer = await post(client, body)
    assert status == 422
    assert list(answer["fields"]) == [field]


async def test_body_with_too_many_values_is_refused(client: Client) -> None:
    status, answer = await post(client, b'{"notes": [' + b"1," * 30_000 + b"1]}")
    assert (status, list(answer["fields"])) == (422, ["body"])


async def test_body_beyond_limit_is_413(client: Client) -> None:
    status, _ = await post(client, json.dumps({"name": "a" * 65536}).encode())
    assert status == 413
    status, _ = await post(client, gzip.compress(b'"' + b"a" * 10_000_000 + b'"'), Content_Encoding="gzip")
    assert status == 413


async def test_query_reaches_handler_without_unknown_parameters(client: Client) -> None:
    response = await client.get("/desks?limit=7&q=a%20b&model=7942&model=7962&other=%00")
    assert (await response.json())["query"] == {"limit": 7, "q": "a b", "model": ["7942", "7962"]}
    response = await client.get("/desks")
    assert (await response.json())["query"] == {"limit": 100}


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=x", "limit"),
        ("limit=501", "limit"),
        ("limit=" + "9" * 5000, "limit"),
        ("q=a%00b", "q"),
        ("limit=", "limit"),
    ],
)
async def test_query_with_invalid_parameter_names_it(client: Client, query: str, field: str) -> None:
    response = await client.get(f"/desks?{query}")
    assert response.status == 422
    assert list((await response.json())["fields"]) == [field]


async def test_handler_without_description_is_unchanged(client: Client) -> None:
    response = await client.get("/undescribed?limit=x")
    assert await response.json() == {"body": None, "query": None}


async def test_sub_app_validates_like_app(aiohttp_client: AiohttpClient) -> None:
    root = web.Application()
    root.add_subapp("/api/v1", toy_app())
    client = await aiohttp_client(root)
    response = await client.post("/api/v1/desks", json={"name": "a"})
    assert (await response.json())["body"] == {"name": "a"}
    response = await client.post("/api/v1/desks", json={"nome": "a"})
    assert response.status == 422


async def test_two_apps_in_one_process_validate_independently(aiohttp_client: AiohttpClient) -> None:
    for client in (await aiohttp_client(toy_app()), await aiohttp_client(toy_app())):
        status, answer = await post(client, b'{"name": 1}')
        assert (status, answer["fields"]) == (422, {"name": ["Not a valid string."]})


TEXT = st.text(st.characters(codec=None), max_size=4)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.integers(-(2**70), 2**70) | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
)


@given(st.dictionaries(TEXT, VALUES, max_size=3))
def test_body_accepted_is_encodable_with_64_bit_numbers(sent: dict[str, Any]) -> None:
    try:
        json_body.refuse_unstorable(sent)
    except CisiskError as error:
        written = json.dumps([str(error), getattr(error, "fields", {})], ensure_ascii=False)
        assert written.encode()
        return
    written = json.dumps(sent, ensure_ascii=False, allow_nan=False)
    assert "\\u0000" not in written
    assert json.loads(written.encode(), parse_int=lambda digits: int(digits).to_bytes(8, signed=True)) is not None
