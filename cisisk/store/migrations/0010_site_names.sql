-- folded_name: the name as it is compared with the location of a phone, without case and accents (model/contact.py).
-- Not unique: two sites may have been added that differ in nothing else.
ALTER TABLE sites ADD COLUMN folded_name TEXT NOT NULL DEFAULT '';
UPDATE sites SET folded_name = folded(name);
CREATE INDEX sites_by_folded_name ON sites (folded_name, created_at, uuid);
