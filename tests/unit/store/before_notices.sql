-- A database of schema 11, in which sentences were stored where notices are stored now.
INSERT INTO users VALUES ('user', 'Anna', 'Arendt', 'anna', 'anna@example.com', '$hash', NULL, 'en', NULL, NULL, 'UTC',
    NULL, NULL, NULL, NULL, 1, '2026-01-01T00:00:00.000Z', NULL, '2026-01-01T00:00:00.000Z', NULL, NULL, 1);
INSERT INTO contents VALUES (printf('%064d', 0), x'00');
INSERT INTO config_versions (mac, sha256, origin, created_at)
VALUES ('AABBCCDDEE01', printf('%064d', 0), 'switch', '2026-01-01T00:00:00.000Z');
INSERT INTO deployments (uuid, mac, sha256, profile_name, recorded_at, state, restart, restart_method, failure,
    registered_as, policy, deferred_until)
SELECT name, 'AABBCCDDEE01', printf('%064d', 0), 'Desk', '2026-01-01T00:00:00.000Z', state, restart, method, failure,
    registered_as, policy, deferred_until
FROM (
    SELECT 'accepted' AS name, 'confirmed' AS state, 'ok' AS restart, 'cgi-keys' AS method, NULL AS failure,
        'endpoint 305 registered from 192.0.2.7 with a new Call-ID' AS registered_as, '{}' AS policy,
        NULL AS deferred_until
    UNION ALL SELECT 'refused', 'waiting',
        'cgi-keys: the phone is off; sip-notify: it is busy. The phone takes the config at its next boot',
        NULL, NULL, NULL, '{"when": "now", "on_timeout": "rollback"}', NULL
    UNION ALL SELECT 'no method', 'waiting', 'No restart method is configured for SIPE phones (restart.sipe)', NULL,
        NULL, NULL, '{}', NULL
    UNION ALL SELECT 'not needed', 'written', 'Not restarted: the phone has not taken the config that is taken back',
        NULL, NULL, NULL, '{}', NULL
    UNION ALL SELECT 'needed', 'waiting',
        'The phone has taken the config that was taken back, while that was done. It is to restart', NULL, NULL, NULL,
        '{}', NULL
    UNION ALL SELECT 'superseded', 'superseded',
        'A newer switch of this phone was accepted meanwhile, and the restart is left to that one', NULL, NULL, NULL,
        '{}', NULL
    UNION ALL SELECT 'stopped', 'waiting',
        'Cisisk was stopped before the phone accepted a restart. It is tried again when Cisisk runs again', NULL, NULL,
        NULL, '{}', NULL
    UNION ALL SELECT 'cut off', 'waiting', 'The switch was cut off before it was known whether the phone restarts.'
        || ' If it does not come for the config, it is told again', NULL, NULL, NULL, '{}', NULL
    UNION ALL SELECT 'failed', 'failed', NULL, NULL, 'The switch was cut off before its file was written, or the file'
        || ' was replaced since: the phone is served another config', NULL, '{}', NULL
    UNION ALL SELECT 'full', 'failed', NULL, NULL, 'No space left on device', NULL, '{}', NULL
    UNION ALL SELECT 'idle', 'deferred', NULL, NULL, NULL, NULL, '{"when": "idle"}', 'idle'
    UNION ALL SELECT 'later', 'deferred', NULL, NULL, NULL, NULL, '{"when": "2027-01-01T00:00:00.000Z"}',
        '2027-01-01T00:00:00.000Z'
);
INSERT INTO deployment_steps (deployment, mac, at, step, state, ended, told) VALUES
    ('refused', 'AABBCCDDEE01', '2026-01-01T00:00:01.000Z', 'written', 'written', 0, 'Served as "SEP".cnf.xml'),
    ('refused', 'AABBCCDDEE01', '2026-01-01T00:00:02.000Z', 'timed_out', 'timed_out', 1,
        'No restart could be triggered. The phone takes the config at its next boot'),
    ('stopped', 'AABBCCDDEE01', '2026-01-01T00:00:03.000Z', 'restart_refused', 'waiting', 0,
        'Cisisk was stopped before the phone accepted a restart. It is tried again when Cisisk runs again');
INSERT INTO switch_jobs (number, uuid, state, told, policy, canary, wave, concurrency, min_confirmed, columns,
    delimiter, rows, created_at)
VALUES (1, 'job', 'stopped', 'Of the 2 phone(s) that ended, 1 took the config: 50%, and 90% are wanted',
    '{"when": "idle", "on_timeout": "keep"}', 1, 0, 16, 0.9, '["mac"]', ',', 2, '2026-01-01T00:00:00.000Z');
INSERT INTO switch_job_rows (job, number, mac, profile_uuid, cells, begun_after, deployment, refused, refused_at) VALUES
    (1, 1, 'AABBCCDDEE01', 'profile', '["a"]', 0, 'refused', NULL, NULL),
    (1, 2, 'AABBCCDDEE02', 'profile', '["b"]', 0, NULL, 'Cisisk failed here. Its log has the details',
        '2026-01-01T00:00:00.000Z'),
    (1, 3, 'AABBCCDDEE03', 'profile', '["c"]', 0, NULL, 'Profile not found', '2026-01-01T00:00:00.000Z');
INSERT INTO webhooks VALUES ('webhook', 'http://192.0.2.9/', 'whsec_x', NULL, '[]', 1, 0, NULL,
    '2026-01-01T00:00:00.000Z', '2026-01-01T00:00:00.000Z', 1);
INSERT INTO webhook_deliveries (uuid, webhook, body, state, created_at, due_at, tries, status, told) VALUES
    ('delivered', 'webhook', '{}', 'delivered', '2026-01-01T00:00:00.000Z', NULL, 1, 204, 'answered 204'),
    ('untried', 'webhook', '{}', 'given_up', '2026-01-01T00:00:00.000Z', NULL, 0, NULL, 'The webhook was switched off'),
    ('tried', 'webhook', '{}', 'given_up', '2026-01-01T00:00:00.000Z', NULL, 2, NULL,
        'cannot be reached: No route to host. It could not be delivered in time'),
    ('new', 'webhook', '{}', 'pending', '2026-01-01T00:00:00.000Z', '2026-01-01T00:00:00.000Z', 0, NULL, NULL);
