-- Many switches as one job. state and policy as in the model; columns: a JSON array of the input's own names.
CREATE TABLE switch_jobs (
    number        INTEGER PRIMARY KEY,
    uuid          TEXT NOT NULL UNIQUE,
    state         TEXT NOT NULL CHECK (state IN ('running', 'paused', 'stopped', 'cancelled', 'completed')),
    told          TEXT,
    requested_by  TEXT,
    ip            TEXT,
    user_agent    TEXT,
    policy        TEXT NOT NULL,
    canary        INTEGER NOT NULL,
    wave          INTEGER NOT NULL,
    concurrency   INTEGER NOT NULL,
    min_confirmed REAL NOT NULL,
    columns       TEXT NOT NULL,
    delimiter     TEXT NOT NULL,
    rows          INTEGER NOT NULL,
    created_at    TEXT NOT NULL,
    ended_at      TEXT
) STRICT;
CREATE INDEX switch_jobs_running ON switch_jobs (number) WHERE state = 'running';

-- number: counts from 1 in the order of the input. cells: a JSON array, by the columns of the job. begun_after: the
-- number of the newest deployment when this row began, by which its own is found again after a crash. refused: why its
-- switch broke off, if it did. forgiven: it ended before the job was resumed, and no longer speaks against going on.
CREATE TABLE switch_job_rows (
    job          INTEGER NOT NULL REFERENCES switch_jobs ON DELETE CASCADE,
    number       INTEGER NOT NULL,
    mac          TEXT NOT NULL,
    profile_uuid TEXT NOT NULL,
    cells        TEXT NOT NULL,
    begun_after  INTEGER,
    deployment   TEXT REFERENCES deployments (uuid),
    refused      TEXT,
    refused_at   TEXT,
    forgiven     INTEGER NOT NULL DEFAULT 0 CHECK (forgiven IN (0, 1)),
    PRIMARY KEY (job, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX switch_job_rows_by_phone ON switch_job_rows (mac);
CREATE INDEX switch_job_rows_by_deployment ON switch_job_rows (deployment) WHERE deployment IS NOT NULL;
CREATE INDEX switch_job_rows_starting ON switch_job_rows (job, number)
    WHERE begun_after IS NOT NULL AND deployment IS NULL AND refused IS NULL;
