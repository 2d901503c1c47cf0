-- Who is told of the steps of deployments over HTTP. secret: the key of its signatures (whsec_, then Base64); steps: a
-- JSON array of those that are told; considered: the number of the last step that was looked at; waits_until: its
-- receiver was away, and is left alone until then.
CREATE TABLE webhooks (
    uuid        TEXT PRIMARY KEY,
    url         TEXT NOT NULL,
    secret      TEXT NOT NULL,
    description TEXT,
    steps       TEXT NOT NULL,
    is_active   INTEGER NOT NULL CHECK (is_active IN (0, 1)),
    considered  INTEGER NOT NULL,
    waits_until TEXT,
    created_at  TEXT NOT NULL,
    updated_at  TEXT NOT NULL,
    revision    INTEGER NOT NULL DEFAULT 1
) STRICT;

-- What a webhook is told, in the order in which it happened. deployment, step: what it is about; NULL for a test. body:
-- what is sent, the same at every try; due_at: when it is tried next, NULL once that is over; status: of the last answer.
CREATE TABLE webhook_deliveries (
    number     INTEGER PRIMARY KEY AUTOINCREMENT,
    uuid       TEXT NOT NULL UNIQUE,
    webhook    TEXT NOT NULL REFERENCES webhooks (uuid) ON DELETE CASCADE,
    deployment TEXT,
    step       TEXT,
    body       TEXT NOT NULL,
    state      TEXT NOT NULL CHECK (state IN ('pending', 'delivered', 'given_up')),
    created_at TEXT NOT NULL,
    due_at     TEXT,
    tries      INTEGER NOT NULL DEFAULT 0,
    tried_at   TEXT,
    status     INTEGER,
    told       TEXT,
    CHECK ((state = 'pending') = (due_at IS NOT NULL))
) STRICT;
CREATE INDEX webhook_deliveries_by_webhook ON webhook_deliveries (webhook, number);
CREATE INDEX webhook_deliveries_pending ON webhook_deliveries (webhook, due_at) WHERE due_at IS NOT NULL;
