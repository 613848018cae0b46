-- What app.json says beside the processes: how many run of each type (JSON; NULL where it does not say so), and what is run once
-- a release serves.
ALTER TABLE releases ADD COLUMN formation TEXT;
ALTER TABLE releases ADD COLUMN postdeploy_command TEXT;

-- Whether what is run at the first deploy only was run.
ALTER TABLE apps ADD COLUMN is_set_up INTEGER NOT NULL DEFAULT 0 CHECK (is_set_up IN (0, 1));
UPDATE apps SET is_set_up = 1 WHERE EXISTS (SELECT 1 FROM releases WHERE app_id = apps.id AND status = 'current');
