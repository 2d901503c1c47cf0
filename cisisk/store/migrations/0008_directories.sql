-- The directories that phones show. folded_name, folded: the name, and all texts a line each, without the differences
-- that nobody means when searching (model/contact.py); digits: the numbers, a blank between them.
CREATE TABLE personal_contacts (
    uuid        TEXT PRIMARY KEY,
    user_uuid   TEXT NOT NULL REFERENCES users ON DELETE CASCADE,
    position    INTEGER NOT NULL,
    name        TEXT NOT NULL,
    work        TEXT,
    mobile      TEXT,
    home        TEXT,
    email       TEXT,
    ringtone    TEXT,
    folded_name TEXT NOT NULL,
    folded      TEXT NOT NULL,
    digits      TEXT NOT NULL,
    created_at  TEXT NOT NULL,
    updated_at  TEXT NOT NULL,
    revision    INTEGER NOT NULL DEFAULT 1
) STRICT;
-- Each user's are counted from 1 without gaps. Not unique: moving one shifts the others, row by row.
CREATE INDEX personal_contacts_in_order ON personal_contacts (user_uuid, position);

CREATE TABLE company_contacts (
    uuid        TEXT PRIMARY KEY,
    name        TEXT NOT NULL,
    work        TEXT,
    mobile      TEXT,
    home        TEXT,
    email       TEXT,
    ringtone    TEXT,
    department  TEXT,
    company     TEXT,
    location    TEXT,
    building    TEXT,
    folded_name TEXT NOT NULL,
    folded      TEXT NOT NULL,
    digits      TEXT NOT NULL,
    created_at  TEXT NOT NULL,
    updated_at  TEXT NOT NULL,
    revision    INTEGER NOT NULL DEFAULT 1
) STRICT;
CREATE INDEX company_contacts_by_name ON company_contacts (folded_name, uuid);

-- Key expansion modules, which go with the phone that they are attached to.
CREATE TABLE kems (
    uuid             TEXT PRIMARY KEY,
    model            TEXT,
    mac              TEXT,
    ip               TEXT,
    connected_phone  TEXT REFERENCES phones ON DELETE CASCADE,
    software_version TEXT,
    software_type    TEXT,
    created_at       TEXT NOT NULL,
    updated_at       TEXT NOT NULL,
    revision         INTEGER NOT NULL DEFAULT 1
) STRICT;
CREATE INDEX kems_by_phone ON kems (connected_phone);

CREATE TABLE services (
    uuid       TEXT PRIMARY KEY,
    name       TEXT,
    url        TEXT,
    type       TEXT,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    revision   INTEGER NOT NULL DEFAULT 1
) STRICT;

-- password and voicemail_passcode are kept as they are: a phone and a PBX take nothing else.
CREATE TABLE extensions (
    uuid               TEXT PRIMARY KEY,
    type               TEXT NOT NULL CHECK (type IN ('chan_sccp', 'chan_sip', 'chan_pjsip', 'custom')),
    extension          TEXT NOT NULL UNIQUE,
    name               TEXT NOT NULL,
    password           TEXT NOT NULL,
    description        TEXT,
    voicemail          INTEGER NOT NULL CHECK (voicemail IN (0, 1)),
    voicemail_passcode TEXT,
    is_active          INTEGER NOT NULL CHECK (is_active IN (0, 1)),
    created_at         TEXT NOT NULL,
    updated_at         TEXT NOT NULL,
    revision           INTEGER NOT NULL DEFAULT 1,
    CHECK (NOT voicemail OR voicemail_passcode IS NOT NULL)
) STRICT;

CREATE TABLE user_extensions (
    uuid           TEXT PRIMARY KEY,
    user_uuid      TEXT NOT NULL REFERENCES users ON DELETE CASCADE,
    extension_uuid TEXT NOT NULL REFERENCES extensions ON DELETE CASCADE,
    created_at     TEXT NOT NULL,
    UNIQUE (user_uuid, extension_uuid)
) STRICT;
CREATE INDEX user_extensions_by_extension ON user_extensions (extension_uuid);
