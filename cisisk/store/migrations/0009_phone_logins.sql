-- What the phones of one location have in common: name is what phones.location says. logout_at: a JSON list of times of
-- the day such as "20:00"; NULL for those of the settings.
CREATE TABLE sites (
    uuid                TEXT PRIMARY KEY,
    name                TEXT NOT NULL UNIQUE COLLATE NOCASE,
    logout_profile_uuid TEXT REFERENCES profiles ON DELETE SET NULL,
    emergency_location  TEXT,
    emergency_caller_id TEXT,
    logout_at           TEXT,
    created_at          TEXT NOT NULL,
    updated_at          TEXT NOT NULL,
    revision            INTEGER NOT NULL DEFAULT 1
) STRICT;
CREATE INDEX sites_by_profile ON sites (logout_profile_uuid);

-- NULL for what the phone's site says.
ALTER TABLE phones ADD COLUMN logout_profile_uuid TEXT REFERENCES profiles ON DELETE SET NULL;
ALTER TABLE phones ADD COLUMN emergency_location TEXT;
ALTER TABLE phones ADD COLUMN emergency_caller_id TEXT;
CREATE INDEX phones_by_logout_profile ON phones (logout_profile_uuid);

-- Which of a user's profiles is offered first on a phone of that model. model: as it is compared (model/phone.py).
CREATE TABLE user_default_profiles (
    user_uuid    TEXT NOT NULL REFERENCES users ON DELETE CASCADE,
    model        TEXT NOT NULL,
    profile_uuid TEXT NOT NULL REFERENCES profiles ON DELETE CASCADE,
    PRIMARY KEY (user_uuid, model)
) STRICT;
CREATE INDEX user_default_profiles_by_profile ON user_default_profiles (profile_uuid);

-- Who is or was logged in on which phone. It outlives users, profiles and phones, so it refers to none of them.
-- logged_in_at: NULL until the phone is served the profile. home_sha256: what the phone was served before anybody logged
-- in. reason: why it ends; ended_at: since when the phone is served something else. ended_by: the deployment of that.
-- minutes: how long it may last; until: the same from logged_in_at on. is_only: the user may be on no other phone.
CREATE TABLE phone_logins (
    number       INTEGER PRIMARY KEY,
    uuid         TEXT NOT NULL UNIQUE,
    mac          TEXT NOT NULL,
    user_uuid    TEXT NOT NULL,
    username     TEXT NOT NULL,
    profile_uuid TEXT NOT NULL,
    profile_name TEXT NOT NULL,
    way          TEXT NOT NULL,
    takes_over   INTEGER NOT NULL CHECK (takes_over IN (0, 1)),
    is_only      INTEGER NOT NULL CHECK (is_only IN (0, 1)),
    minutes      INTEGER,
    home_sha256  TEXT,
    requested_at TEXT NOT NULL,
    logged_in_at TEXT,
    until        TEXT,
    deployment   TEXT,
    reason       TEXT,
    returned_to  TEXT,
    ended_at     TEXT,
    ended_by     TEXT
) STRICT;
CREATE UNIQUE INDEX phone_logins_open ON phone_logins (mac) WHERE logged_in_at IS NOT NULL AND ended_at IS NULL;
-- Not unique: who waits for a phone keeps waiting until it is certain that the next one is not refused.
CREATE INDEX phone_logins_beginning ON phone_logins (mac) WHERE logged_in_at IS NULL;
CREATE INDEX phone_logins_not_ended ON phone_logins (number) WHERE ended_at IS NULL;
CREATE INDEX phone_logins_by_phone ON phone_logins (mac, number);
CREATE INDEX phone_logins_by_user ON phone_logins (user_uuid, number);
CREATE INDEX phone_logins_by_deployment ON phone_logins (ended_by) WHERE ended_by IS NOT NULL;
