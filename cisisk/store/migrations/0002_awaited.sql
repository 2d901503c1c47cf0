-- What phones have yet to take: looked for many times a second while they boot, among all that they ever took.
CREATE INDEX deployments_awaited ON deployments (superseded_at) WHERE written_at IS NOT NULL AND fetched_at IS NULL;
