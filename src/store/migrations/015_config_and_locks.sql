-- Config vars that every app has, unless it has a value of its own.
CREATE TABLE global_config_vars (
    key   TEXT NOT NULL PRIMARY KEY,
    value BLOB NOT NULL -- sealed
) STRICT, WITHOUT ROWID;

-- A row for each app that takes no new source until it is unlocked.
CREATE TABLE app_locks (
    app_id    INTEGER NOT NULL PRIMARY KEY REFERENCES apps (id) ON DELETE CASCADE,
    locked_at INTEGER NOT NULL,
    actor     TEXT    NOT NULL
) STRICT;
