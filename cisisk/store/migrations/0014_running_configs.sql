-- What each phone runs: sha256, since a registration or a finished boot that followed the transfer of that config.
-- taken_*: a config that it took afterwards, and that it does not certainly run yet. evidence: as in the model;
-- registered_as: a notice; profile_uuid: of the profile that the config came from.
CREATE TABLE running_configs (
    mac                TEXT PRIMARY KEY,
    sha256             TEXT,
    profile_uuid       TEXT,
    since              TEXT,
    evidence           TEXT CHECK (evidence IN ('registration', 'boot')),
    registered_at      TEXT,
    registered_as      TEXT,
    taken_sha256       TEXT,
    taken_profile_uuid TEXT,
    taken_at           TEXT
) STRICT;
CREATE INDEX running_configs_by_profile ON running_configs (profile_uuid);
CREATE INDEX running_configs_by_taken_profile ON running_configs (taken_profile_uuid) WHERE taken_at IS NOT NULL;

INSERT INTO running_configs (mac, sha256, profile_uuid, since, evidence, registered_at, registered_as)
SELECT mac, sha256, profile_uuid, COALESCE(registered_at, fetched_at),
       CASE WHEN registered_at IS NULL THEN 'boot' ELSE 'registration' END, registered_at, registered_as
  FROM deployments
 WHERE number IN (SELECT MAX(number) FROM deployments WHERE fetched_at IS NOT NULL OR registered_at IS NOT NULL
                   GROUP BY mac);

-- A boot that asks for nothing more for a minute after its config has ended: the phone runs what it took.
CREATE VIEW phones_run AS
SELECT mac,
       CASE WHEN has_ended THEN taken_sha256 ELSE sha256 END AS sha256,
       CASE WHEN has_ended THEN taken_profile_uuid ELSE profile_uuid END AS profile_uuid,
       CASE WHEN has_ended THEN taken_at ELSE since END AS since,
       CASE WHEN has_ended THEN 'boot' ELSE evidence END AS evidence,
       CASE WHEN NOT has_ended THEN registered_at END AS registered_at,
       CASE WHEN NOT has_ended THEN registered_as END AS registered_as
  FROM (SELECT *, taken_at IS NOT NULL AND taken_at < strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-60 seconds') AS has_ended
          FROM running_configs);
