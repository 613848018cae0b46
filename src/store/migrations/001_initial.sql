-- Moments are INTEGER microseconds since 1970 in UTC. Booleans are 0 or 1. Enums are the words of `model`.
-- Sealed columns hold what seal.rs writes: one byte of format, 24 bytes of nonce, the encrypted value and its tag.

-- Facts about the installation: `instance`, and `key_check` (a sealed known text that tells the right key from a wrong one).
CREATE TABLE meta (
    name  TEXT NOT NULL PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- AUTOINCREMENT: the id of a destroyed app is never given again, since containers and sealed values are bound to it.
CREATE TABLE apps (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    name          TEXT    NOT NULL UNIQUE,
    created_at    INTEGER NOT NULL,
    deploy_branch TEXT,
    is_stopped    INTEGER NOT NULL DEFAULT 0 CHECK (is_stopped IN (0, 1)),
    -- The newest release number ever given, so that a forgotten number does not come back.
    last_version  INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE domains (
    name   TEXT    NOT NULL PRIMARY KEY,
    app_id INTEGER NOT NULL REFERENCES apps (id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX domains_by_app ON domains (app_id);

CREATE TABLE config_vars (
    app_id INTEGER NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    key    TEXT    NOT NULL,
    value  BLOB    NOT NULL, -- sealed
    PRIMARY KEY (app_id, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE scales (
    app_id       INTEGER NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    process_type TEXT    NOT NULL,
    quantity     INTEGER NOT NULL CHECK (quantity BETWEEN 0 AND 65535),
    PRIMARY KEY (app_id, process_type)
) STRICT, WITHOUT ROWID;

CREATE TABLE restarts (
    app_id       INTEGER NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    process_type TEXT    NOT NULL,
    requested_at INTEGER NOT NULL,
    PRIMARY KEY (app_id, process_type)
) STRICT, WITHOUT ROWID;

CREATE TABLE releases (
    app_id          INTEGER NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    version         INTEGER NOT NULL CHECK (version > 0),
    status          TEXT    NOT NULL CHECK (status IN ('candidate', 'prepared', 'current', 'draining', 'retired', 'failed')),
    image           TEXT    NOT NULL,
    commit_id       TEXT,
    processes       TEXT    NOT NULL, -- JSON: process type to command or null
    release_command TEXT,
    port            INTEGER NOT NULL CHECK (port BETWEEN 0 AND 65535),
    checks          TEXT    NOT NULL, -- JSON: process type to checks
    config          BLOB    NOT NULL, -- sealed JSON: key to value
    origin          TEXT    NOT NULL CHECK (origin IN ('push', 'config', 'rollback', 'restart', 'rebuild')), -- model::Trigger
    description     TEXT    NOT NULL,
    actor           TEXT    NOT NULL,
    created_at      INTEGER NOT NULL,
    drain_until     INTEGER,
    PRIMARY KEY (app_id, version)
) STRICT;
-- The current release of an app is the one with that status; there is no second place that could disagree.
CREATE UNIQUE INDEX releases_current ON releases (app_id) WHERE status = 'current';

CREATE TABLE deploys (
    id          TEXT    NOT NULL PRIMARY KEY,
    app_id      INTEGER NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    origin      TEXT    NOT NULL CHECK (origin IN ('push', 'config', 'rollback', 'restart', 'rebuild')), -- model::Trigger
    commit_id   TEXT,
    actor       TEXT    NOT NULL,
    step        TEXT    NOT NULL CHECK (step IN ('received', 'detect', 'build', 'release', 'check', 'prepared', 'route', 'live')),
    status      TEXT    NOT NULL CHECK (status IN ('running', 'succeeded', 'failed', 'canceled', 'interrupted', 'superseded')),
    release     INTEGER, -- no reference: a deploy is remembered longer than its release
    started_at  INTEGER NOT NULL,
    finished_at INTEGER,
    failure     TEXT
) STRICT;
CREATE INDEX deploys_by_app ON deploys (app_id, started_at);
CREATE INDEX deploys_running ON deploys (started_at) WHERE status = 'running';

CREATE TABLE ssh_keys (
    name        TEXT    NOT NULL PRIMARY KEY,
    fingerprint TEXT    NOT NULL UNIQUE,
    public_key  TEXT    NOT NULL,
    created_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
