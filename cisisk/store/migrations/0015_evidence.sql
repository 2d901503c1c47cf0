-- before: what was registered before the restart, a JSON object (cisisk/model/registration.py); NULL if it is not known.
-- tried_methods: the methods of the last restart, in order, and what each result shows.
ALTER TABLE deployments ADD COLUMN before TEXT;
ALTER TABLE deployments ADD COLUMN tried_methods TEXT NOT NULL DEFAULT '[]';
UPDATE deployments SET before = json_object('lines', json_array(), 'new_lines', json_array(), 'listed', json_array(json_object(
    'line', before_peer, 'endpoint', before_peer, 'contact', '', 'call_id', before_call_id, 'addresses', json_array())))
 WHERE before_peer IS NOT NULL;
ALTER TABLE deployments DROP COLUMN before_peer;
ALTER TABLE deployments DROP COLUMN before_call_id;
