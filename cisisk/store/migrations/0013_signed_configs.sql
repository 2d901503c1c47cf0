-- Signed forms of phones' configs that were set aside, because they held another config than the phone is to get.
-- sha256: of the version that keeps the file; NULL if the file could not be read.
CREATE TABLE signed_configs (
    number       INTEGER PRIMARY KEY,
    mac          TEXT NOT NULL,
    name         TEXT NOT NULL,
    sha256       TEXT REFERENCES contents ON DELETE RESTRICT,
    set_aside_at TEXT NOT NULL
) STRICT;
CREATE INDEX signed_configs_by_phone ON signed_configs (mac, set_aside_at);
