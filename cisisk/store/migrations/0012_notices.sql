-- What the program decides by is a code. A sentence becomes a notice, {"code": ..., "parameters": {...}} in JSON
-- (cisisk/model/notice.py); one that is not known becomes the notice "text" with the sentence as its parameter.

CREATE TABLE known_sentences (sentence TEXT PRIMARY KEY, code TEXT NOT NULL, notice TEXT) STRICT;
INSERT INTO known_sentences (sentence, code) VALUES
    ('Not restarted: the phone has not taken the config that is taken back', 'restart_not_needed'),
    ('The phone has taken the config that was taken back, while that was done. It is to restart',
     'restart_needed_after_all'),
    ('A newer switch of this phone was accepted meanwhile, and the restart is left to that one',
     'restart_superseded'),
    ('Cisisk was stopped before the phone accepted a restart. It is tried again when Cisisk runs again',
     'restart_stopped'),
    ('The switch was cut off before it was known whether the phone restarts. If it does not come for'
     || ' the config, it is told again',
     'restart_cut_off'),
    ('The switch was cut off before its file was written, or the file was replaced since: the phone'
     || ' is served another config',
     'cut_off_before_writing'),
    ('A newer switch of this phone was accepted', 'switch_superseded'),
    ('Called off', 'switch_cancelled'),
    ('The phone was taken out of the inventory', 'phone_removed'),
    ('Somebody else has changed or removed the served file', 'config_replaced_from_outside'),
    ('Another file was put in its place', 'config_replaced_by_file'),
    ('The phone is served again what it was served before', 'switch_rolled_back'),
    ('Nobody here can tell whether it registers', 'registration_unobservable'),
    ('No restart could be triggered. The phone takes the config at its next boot', 'no_restart_in_time'),
    ('No restart could be triggered', 'no_restart_before_rollback'),
    ('Cisisk failed here. Its log has the details', 'internal_error'),
    ('The webhook was switched off', 'webhook_switched_off'),
    ('The receiver wants nothing more (410)', 'webhook_gone'),
    ('It could not be delivered in time', 'webhook_too_late');
UPDATE known_sentences SET notice = json_object('code', code, 'parameters', json(CASE code
    WHEN 'restart_stopped'
    THEN json_object('sequel', json_object('code', 'restart_when_running', 'parameters', json_object()))
    WHEN 'restart_cut_off'
    THEN json_object('sequel', json_object('code', 'restart_if_not_fetched', 'parameters', json_object()))
    ELSE json_object() END));

ALTER TABLE deployments RENAME COLUMN restart TO restart_outcome;
ALTER TABLE deployments ADD COLUMN restart_detail TEXT NOT NULL DEFAULT '[]';
-- The refusals of all methods were one sentence, which ended with what was to come.
UPDATE deployments SET restart_detail = json_array(json_object('method', '', 'reason', json_object(
    'code', 'text',
    'parameters', json_object('text', CASE
        WHEN restart_outcome LIKE '%. The phone takes the config at its next boot'
        THEN substr(restart_outcome, 1, instr(restart_outcome, '. The phone takes the config at its next boot') - 1)
        ELSE restart_outcome END))))
 WHERE restart_outcome <> 'ok' AND restart_outcome NOT LIKE 'No restart method is configured for % phones (restart.%)'
   AND restart_outcome NOT IN (SELECT sentence FROM known_sentences);
UPDATE deployments SET restart_outcome = CASE
    WHEN restart_outcome = 'ok' THEN 'accepted'
    WHEN restart_outcome LIKE 'No restart method is configured for % phones (restart.%)' THEN 'no_method'
    ELSE COALESCE((
        SELECT CASE code
            WHEN 'restart_not_needed' THEN 'not_needed'
            WHEN 'restart_needed_after_all' THEN 'needed_after_all'
            WHEN 'restart_superseded' THEN 'superseded'
            WHEN 'restart_stopped' THEN 'stopped'
            WHEN 'restart_cut_off' THEN 'cut_off' END
        FROM known_sentences WHERE sentence = restart_outcome), 'refused') END
 WHERE restart_outcome IS NOT NULL;
UPDATE deployments SET
    failure = COALESCE((SELECT notice FROM known_sentences WHERE sentence = failure),
        json_object('code', 'text', 'parameters', json_object('text', failure)))
 WHERE failure IS NOT NULL;
UPDATE deployments SET registered_as = json_object('code', 'text', 'parameters', json_object('text', registered_as))
 WHERE registered_as IS NOT NULL;

ALTER TABLE deployment_steps RENAME COLUMN told TO notice;
UPDATE deployment_steps SET notice = COALESCE(
    (SELECT known.notice FROM known_sentences AS known WHERE sentence = deployment_steps.notice),
    json_object('code', 'text', 'parameters', json_object('text', notice)));

ALTER TABLE switch_jobs RENAME COLUMN told TO reason;
UPDATE switch_jobs SET reason = json_object('code', 'text', 'parameters', json_object('text', reason))
 WHERE reason IS NOT NULL;
UPDATE switch_job_rows SET
    refused = COALESCE((SELECT notice FROM known_sentences WHERE sentence = refused),
        json_object('code', 'text', 'parameters', json_object('text', refused)))
 WHERE refused IS NOT NULL;

ALTER TABLE webhook_deliveries RENAME COLUMN told TO detail;
-- Why a delivery was given up, if its last try does not say it.
ALTER TABLE webhook_deliveries ADD COLUMN reason TEXT;
UPDATE webhook_deliveries SET reason = (SELECT notice FROM known_sentences WHERE sentence = detail), detail = NULL
 WHERE detail IN (SELECT sentence FROM known_sentences);
UPDATE webhook_deliveries SET detail = CASE
    WHEN detail = 'answered ' || status
    THEN json_object('code', 'webhook_answered', 'parameters', json_object('status', status))
    ELSE json_object('code', 'text', 'parameters', json_object('text', detail)) END
 WHERE detail IS NOT NULL;

DROP TABLE known_sentences;
