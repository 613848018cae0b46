-- Limits of a build are settings, too.
CREATE TABLE builder_settings_with_limits (
    app_id INTEGER NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    name   TEXT    NOT NULL CHECK (name IN (
        'selected', 'build-dir', 'dockerfile-path', 'target', 'build-timeout', 'build-memory-limit')),
    value  TEXT    NOT NULL,
    PRIMARY KEY (app_id, name)
) STRICT, WITHOUT ROWID;
INSERT INTO builder_settings_with_limits SELECT app_id, name, value FROM builder_settings;
DROP TABLE builder_settings;
ALTER TABLE builder_settings_with_limits RENAME TO builder_settings;

-- The same for every app that has no value of its own. A stage is that of one Dockerfile and has no default.
CREATE TABLE builder_defaults (
    name  TEXT NOT NULL PRIMARY KEY CHECK (name IN (
        'selected', 'build-dir', 'dockerfile-path', 'build-timeout', 'build-memory-limit')),
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Which config vars the builds of an app are given as secrets. The values are those of the config vars.
CREATE TABLE build_secrets (
    app_id INTEGER NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    name   TEXT    NOT NULL, -- model::BuildSecretId
    value  TEXT    NOT NULL, -- model::ConfigKey
    PRIMARY KEY (app_id, name)
) STRICT, WITHOUT ROWID;
