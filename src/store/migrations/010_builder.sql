-- What was set of how an app is built; a setting without a row is left to detection.
CREATE TABLE builder_settings (
    app_id INTEGER NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    name   TEXT    NOT NULL CHECK (name IN ('selected', 'build-dir', 'dockerfile-path', 'target')),
    value  TEXT    NOT NULL,
    PRIMARY KEY (app_id, name)
) STRICT, WITHOUT ROWID;

-- Values for ARG. They are in the history of the images, so they are no secrets and are not sealed.
CREATE TABLE build_arguments (
    app_id INTEGER NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    name   TEXT    NOT NULL, -- model::ConfigKey
    value  TEXT    NOT NULL,
    PRIMARY KEY (app_id, name)
) STRICT, WITHOUT ROWID;
