"""Notices: a code and its parameters, and the sentence that is rendered from them."""

from marshmallow import Schema, fields

from cisisk.model.messages import render
from cisisk.model.notice import Notice

PARAMETERS = {"type": "object", "description": "Parameters of the sentence"}


def parameters_of(notice: Notice) -> object:
    """Return the parameters of a notice, ready for JSON."""
    return notice.plain()["parameters"]


class NoticeOut(Schema):
    """A fact: a code for programs, and a sentence for people."""

    code = fields.String(required=True)
    parameters = fields.Function(parameters_of, required=True, metadata=PARAMETERS)
    message = fields.Function(render, required=True, metadata={"type": "string"})


class OptionalNoticeOut(Schema):
    """The optional notice of an object; null without a notice."""

    code = fields.Function(
        lambda carrier: carrier.notice and str(carrier.notice.code),
        required=True,
        allow_none=True,
        metadata={"type": "string"},
    )
    parameters = fields.Function(
        lambda carrier: carrier.notice and parameters_of(carrier.notice),
        required=True,
        allow_none=True,
        metadata=PARAMETERS,
    )
    message = fields.Function(
        lambda carrier: carrier.notice and render(carrier.notice),
        required=True,
        allow_none=True,
        metadata={"type": "string"},
    )


class CarriedNoticeOut(Schema):
    """The notice of an object."""

    code = fields.String(required=True, attribute="notice.code")
    parameters = fields.Function(lambda carrier: parameters_of(carrier.notice), required=True, metadata=PARAMETERS)
    message = fields.Function(lambda carrier: render(carrier.notice), required=True, metadata={"type": "string"})
