-- What was fetched, over every protocol, in the order in which it ended. Rows go from the old end as the log is cut, so
-- that its numbers have no gaps elsewhere. options: a JSON object.
CREATE TABLE fetches (
    number       INTEGER PRIMARY KEY,
    started_at   TEXT NOT NULL,
    protocol     TEXT NOT NULL,
    peer         TEXT NOT NULL,
    port         INTEGER NOT NULL,
    local        TEXT NOT NULL,
    name         TEXT NOT NULL,
    mac          TEXT,
    outcome      TEXT NOT NULL,
    sha256       TEXT,
    size         INTEGER NOT NULL,
    acknowledged INTEGER NOT NULL,
    blocks       INTEGER NOT NULL,
    retransmits  INTEGER NOT NULL,
    duration     REAL NOT NULL,
    options      TEXT NOT NULL
) STRICT;
CREATE INDEX fetches_by_phone ON fetches (mac, number) WHERE mac IS NOT NULL;
CREATE INDEX fetches_by_peer ON fetches (peer, number);
CREATE INDEX fetches_by_time ON fetches (started_at);

-- A phone that nobody put there but its own requests: a JSON object of what they reveal. NULL once somebody has added
-- or changed it, or switched it to a profile.
ALTER TABLE phones ADD COLUMN discovery TEXT;
CREATE INDEX phones_discovered ON phones (mac) WHERE discovery IS NOT NULL;
