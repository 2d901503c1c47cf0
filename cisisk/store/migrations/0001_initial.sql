-- Times are text, UTC with milliseconds (2026-06-28T12:00:00.000Z); truth values are 0 and 1; MACs are twelve digits.

CREATE TABLE users (
    uuid           TEXT PRIMARY KEY,
    first_name     TEXT NOT NULL,
    last_name      TEXT NOT NULL,
    username       TEXT NOT NULL UNIQUE COLLATE NOCASE,
    email          TEXT NOT NULL UNIQUE COLLATE NOCASE,
    password_hash  TEXT NOT NULL,
    phone          TEXT,
    lang           TEXT NOT NULL,
    location       TEXT,
    nationality    TEXT,
    timezone       TEXT NOT NULL,
    last_uuid      TEXT,
    last_login_ip  TEXT,
    last_login_at  TEXT,
    last_logout_ip TEXT,
    is_active      INTEGER NOT NULL CHECK (is_active IN (0, 1)),
    created_at     TEXT NOT NULL,
    created_by     TEXT,
    updated_at     TEXT NOT NULL,
    created_ip     TEXT,
    updated_ip     TEXT,
    revision       INTEGER NOT NULL DEFAULT 1
) STRICT;

CREATE TABLE permissions (
    uuid        TEXT PRIMARY KEY,
    level       INTEGER NOT NULL CHECK (level >= 0),
    name        TEXT NOT NULL UNIQUE COLLATE NOCASE,
    description TEXT,
    created_at  TEXT NOT NULL,
    updated_at  TEXT NOT NULL,
    revision    INTEGER NOT NULL DEFAULT 1
) STRICT;

INSERT INTO permissions (uuid, level, name, description, created_at, updated_at)
VALUES ('00000000-0000-0000-0000-000000000000', 0, 'superadmin', 'Everything',
        strftime('%Y-%m-%dT%H:%M:%fZ'), strftime('%Y-%m-%dT%H:%M:%fZ'));

CREATE TABLE user_permissions (
    user_uuid TEXT PRIMARY KEY REFERENCES users ON DELETE CASCADE,
    perm_uuid TEXT NOT NULL REFERENCES permissions ON DELETE RESTRICT
) STRICT;
CREATE INDEX user_permissions_by_permission ON user_permissions (perm_uuid);

-- One row per login; its refresh tokens follow one another, each used once.
CREATE TABLE login_sessions (
    uuid       TEXT PRIMARY KEY,
    user_uuid  TEXT NOT NULL REFERENCES users ON DELETE CASCADE,
    created_at TEXT NOT NULL,
    expires_at TEXT NOT NULL,
    revoked_at TEXT
) STRICT;
CREATE INDEX login_sessions_by_user ON login_sessions (user_uuid);
CREATE INDEX login_sessions_by_expiry ON login_sessions (expires_at);

CREATE TABLE refresh_tokens (
    token_hash   BLOB PRIMARY KEY,
    session_uuid TEXT NOT NULL REFERENCES login_sessions ON DELETE CASCADE,
    used_at      TEXT
) STRICT;
CREATE INDEX refresh_tokens_by_session ON refresh_tokens (session_uuid);

CREATE TABLE pins (
    uuid       TEXT PRIMARY KEY,
    user_uuid  TEXT NOT NULL UNIQUE REFERENCES users ON DELETE CASCADE,
    pin_hash   TEXT NOT NULL,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    revision   INTEGER NOT NULL DEFAULT 1
) STRICT;

CREATE TABLE profiles (
    uuid              TEXT PRIMARY KEY,
    user_uuid         TEXT NOT NULL REFERENCES users ON DELETE CASCADE,
    name              TEXT NOT NULL,
    description       TEXT,
    cnf_xml           BLOB NOT NULL,
    compatible_models TEXT NOT NULL,
    software_type     TEXT CHECK (software_type IN ('SCCP', 'SIP', 'SIPE')),
    placeholders      INTEGER NOT NULL CHECK (placeholders IN (0, 1)),
    created_at        TEXT NOT NULL,
    updated_at        TEXT NOT NULL,
    revision          INTEGER NOT NULL DEFAULT 1
) STRICT;
CREATE INDEX profiles_by_user ON profiles (user_uuid);

CREATE TABLE phones (
    mac              TEXT PRIMARY KEY CHECK (length(mac) = 12),
    model            TEXT,
    phone_ip         TEXT,
    location         TEXT,
    description      TEXT,
    name             TEXT,
    hostname         TEXT,
    phone_vlan       INTEGER,
    brand            TEXT,
    software_version TEXT,
    is_active        INTEGER NOT NULL DEFAULT 1 CHECK (is_active IN (0, 1)),
    created_at       TEXT NOT NULL,
    updated_at       TEXT NOT NULL,
    revision         INTEGER NOT NULL DEFAULT 1
) STRICT;

-- What the phone runs: its software, and the profile that was last put on it.
CREATE TABLE cisco_phones (
    mac                  TEXT PRIMARY KEY REFERENCES phones ON DELETE CASCADE,
    software             TEXT CHECK (software IN ('SCCP', 'SIP', 'SIPE')),
    current_profile_uuid TEXT REFERENCES profiles ON DELETE SET NULL,
    created_at           TEXT NOT NULL,
    revision             INTEGER NOT NULL DEFAULT 1
) STRICT;
CREATE INDEX cisco_phones_by_profile ON cisco_phones (current_profile_uuid);

-- Where a phone last fetched from, whether or not it is in the inventory. proved: it acknowledged a whole file, which
-- a forged source address cannot do.
CREATE TABLE sightings (
    mac     TEXT PRIMARY KEY,
    ip      TEXT NOT NULL,
    seen_at TEXT NOT NULL,
    proved  INTEGER NOT NULL CHECK (proved IN (0, 1))
) STRICT;
CREATE INDEX sightings_by_age ON sightings (seen_at);

-- Who is logged in on a phone's own screen.
CREATE TABLE service_sessions (
    mac        TEXT PRIMARY KEY,
    user_uuid  TEXT NOT NULL REFERENCES users ON DELETE CASCADE,
    ip         TEXT NOT NULL,
    created_at TEXT NOT NULL,
    active_at  TEXT NOT NULL
) STRICT;
CREATE INDEX service_sessions_by_user ON service_sessions (user_uuid);

-- Every content that was ever served for a phone; never changed, never removed.
CREATE TABLE contents (
    sha256  TEXT PRIMARY KEY CHECK (length(sha256) = 64),
    content BLOB NOT NULL
) STRICT;

CREATE TABLE config_versions (
    number     INTEGER PRIMARY KEY,
    mac        TEXT NOT NULL,
    sha256     TEXT NOT NULL REFERENCES contents ON DELETE RESTRICT,
    origin     TEXT NOT NULL CHECK (origin IN ('switch', 'logout', 'rollback', 'adopted')),
    created_at TEXT NOT NULL,
    UNIQUE (mac, sha256)
) STRICT;

CREATE TABLE deployments (
    number         INTEGER PRIMARY KEY,
    uuid           TEXT NOT NULL UNIQUE,
    mac            TEXT NOT NULL,
    sha256         TEXT NOT NULL,
    profile_uuid   TEXT REFERENCES profiles ON DELETE SET NULL,
    profile_name   TEXT NOT NULL,
    requested_by   TEXT,
    recorded_at    TEXT NOT NULL,
    written_at     TEXT,
    restart        TEXT,
    restart_method TEXT,
    restarted_at   TEXT,
    fetched_at     TEXT,
    fetched_from   TEXT,
    superseded_at  TEXT,
    failed_at      TEXT,
    failure        TEXT,
    FOREIGN KEY (mac, sha256) REFERENCES config_versions (mac, sha256)
) STRICT;
CREATE INDEX deployments_by_phone ON deployments (mac, number);
CREATE INDEX deployments_by_profile ON deployments (profile_uuid);
CREATE INDEX deployments_unfinished ON deployments (number)
    WHERE restart IS NULL AND failed_at IS NULL AND superseded_at IS NULL;

-- Outlives whom and what it speaks of, so it refers to nothing.
CREATE TABLE audit_log (
    number      INTEGER PRIMARY KEY,
    uuid        TEXT NOT NULL UNIQUE,
    user_uuid   TEXT,
    action      TEXT NOT NULL,
    entity_type TEXT NOT NULL,
    entity_uuid TEXT,
    payload     TEXT NOT NULL,
    ip          TEXT,
    user_agent  TEXT,
    created_at  TEXT NOT NULL
) STRICT;
CREATE INDEX audit_log_by_user ON audit_log (user_uuid, number);
