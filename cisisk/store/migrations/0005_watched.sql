-- A deployment goes on after its restart, until the phone is seen to have taken it. state: as in the model; policy: a
-- JSON object; deferred_until: 'idle' or a time, while it has not begun; ended_at: since when nothing more is awaited.
ALTER TABLE deployments ADD COLUMN state TEXT NOT NULL DEFAULT 'recorded';
ALTER TABLE deployments ADD COLUMN origin TEXT NOT NULL DEFAULT 'switch';
ALTER TABLE deployments ADD COLUMN policy TEXT NOT NULL DEFAULT '{}';
ALTER TABLE deployments ADD COLUMN replaced TEXT;
ALTER TABLE deployments ADD COLUMN rolls_back TEXT;
ALTER TABLE deployments ADD COLUMN line TEXT;
ALTER TABLE deployments ADD COLUMN before_peer TEXT;
ALTER TABLE deployments ADD COLUMN before_call_id TEXT NOT NULL DEFAULT '';
ALTER TABLE deployments ADD COLUMN deferred_until TEXT;
ALTER TABLE deployments ADD COLUMN tries INTEGER NOT NULL DEFAULT 0;
ALTER TABLE deployments ADD COLUMN tried_at TEXT;
ALTER TABLE deployments ADD COLUMN action TEXT;
ALTER TABLE deployments ADD COLUMN fetch_started_at TEXT;
ALTER TABLE deployments ADD COLUMN registered_at TEXT;
ALTER TABLE deployments ADD COLUMN registered_as TEXT;
ALTER TABLE deployments ADD COLUMN ended_at TEXT;
ALTER TABLE deployments ADD COLUMN timed_out_on TEXT;

UPDATE deployments SET state = CASE
    WHEN failed_at IS NOT NULL THEN 'failed'
    WHEN fetched_at IS NOT NULL THEN 'fetched'
    WHEN superseded_at IS NOT NULL THEN 'superseded'
    WHEN restart = 'ok' THEN 'restarting'
    WHEN restart IS NOT NULL THEN 'waiting'
    WHEN written_at IS NOT NULL THEN 'written'
    ELSE 'recorded' END;
-- Nobody watched these: no phone is restarted for what was switched long ago.
UPDATE deployments SET ended_at = COALESCE(failed_at, fetched_at, superseded_at, restarted_at, written_at, recorded_at)
 WHERE restart IS NOT NULL OR failed_at IS NOT NULL OR superseded_at IS NOT NULL;

DROP INDEX deployments_unfinished;
CREATE INDEX deployments_by_state ON deployments (state, number);
CREATE INDEX deployments_open ON deployments (number) WHERE ended_at IS NULL;

-- What another config may be written over.
CREATE INDEX deployments_unsettled ON deployments (mac)
    WHERE superseded_at IS NULL AND (fetched_at IS NULL OR ended_at IS NULL);

-- What happened to the deployments, in the order in which it was found out. The numbers are those of the events that
-- clients follow, so none is ever used twice.
CREATE TABLE deployment_steps (
    number     INTEGER PRIMARY KEY AUTOINCREMENT,
    deployment TEXT NOT NULL REFERENCES deployments (uuid) ON DELETE CASCADE,
    mac        TEXT NOT NULL,
    at         TEXT NOT NULL,
    step       TEXT NOT NULL,
    state      TEXT NOT NULL,
    ended      INTEGER NOT NULL CHECK (ended IN (0, 1)),
    told       TEXT NOT NULL
) STRICT;
CREATE INDEX deployment_steps_by_deployment ON deployment_steps (deployment, number);
