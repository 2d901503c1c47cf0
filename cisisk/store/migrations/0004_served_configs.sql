-- What each phone is served, as far as Cisisk knows; compared with the disk it tells what somebody else has changed.
-- sha256: NULL when no file is served. pending: what is being written over it at this moment, '' for its removal.
CREATE TABLE served_configs (
    mac     TEXT PRIMARY KEY,
    sha256  TEXT,
    pending TEXT,
    origin  TEXT NOT NULL CHECK (origin IN ('switch', 'adopted', 'drift')),
    since   TEXT NOT NULL
) STRICT;

INSERT INTO served_configs (mac, sha256, origin, since)
SELECT mac, sha256, 'switch', written_at FROM deployments
 WHERE number IN (SELECT MAX(number) FROM deployments WHERE written_at IS NOT NULL GROUP BY mac);

-- Which files of an existing directory were taken over as profiles, so that the same is not done twice.
CREATE TABLE takeovers (
    mac          TEXT NOT NULL,
    sha256       TEXT NOT NULL,
    profile_uuid TEXT REFERENCES profiles ON DELETE SET NULL,
    created_at   TEXT NOT NULL,
    PRIMARY KEY (mac, sha256)
) STRICT;
CREATE INDEX takeovers_by_profile ON takeovers (profile_uuid);
