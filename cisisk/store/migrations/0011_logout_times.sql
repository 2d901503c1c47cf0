-- times_since: when the times of the day last changed at which whoever is logged in there is logged out; NULL when they
-- have not since the login began. Those that were over by then do not count.
ALTER TABLE phone_logins ADD COLUMN times_since TEXT;
