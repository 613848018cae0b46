-- What was set of the processes of apps, and of the containers they are in.
CREATE TABLE process_settings (
    app_id INTEGER NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    name   TEXT    NOT NULL CHECK (name IN ('stop-timeout-seconds', 'start-cmd')), -- model::ProcessSetting
    value  TEXT    NOT NULL,
    PRIMARY KEY (app_id, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE container_options (
    app_id INTEGER NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    phase  TEXT    NOT NULL CHECK (phase IN ('deploy', 'run')), -- model::ContainerPhase
    option TEXT    NOT NULL, -- model::ContainerOption
    PRIMARY KEY (app_id, phase, option)
) STRICT, WITHOUT ROWID;

-- What `web` runs in place of what the Procfile or the image says.
ALTER TABLE releases ADD COLUMN start_command TEXT;
