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

-- A row once the cache of an app's builds was purged. Docker knows no cache by app, so a purge is another name for it.
CREATE TABLE build_caches (
    app_id     INTEGER NOT NULL PRIMARY KEY REFERENCES apps (id) ON DELETE CASCADE,
    generation INTEGER NOT NULL CHECK (generation > 0),
    is_cold    INTEGER NOT NULL CHECK (is_cold IN (0, 1))
) STRICT;
