-- times_since: when the times of the day last changed at which whoever is logged in there is logged out; NULL when they
-- have not since the login began. Those that were over by then do not count.
ALTER TABLE phone_logins ADD COLUMN times_since TEXT;
-- Since the step before this one, phones may have a site that they did not have: its times count from now on, as of every
-- phone that comes under others. Written as model/clock.py writes the present.
UPDATE phone_logins SET times_since = strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
WHERE logged_in_at IS NOT NULL AND ended_at IS NULL AND mac IN (
    SELECT mac FROM phones
    WHERE NOT EXISTS (SELECT 1 FROM sites WHERE name = phones.location)
    AND (SELECT logout_at FROM sites WHERE folded_name = folded(phones.location) ORDER BY created_at, uuid LIMIT 1)
        IS NOT NULL
);
