-- A row while visitors of an app are told to come back later.
CREATE TABLE maintenance (
    app_id      INTEGER NOT NULL PRIMARY KEY REFERENCES apps (id) ON DELETE CASCADE,
    since       INTEGER NOT NULL,
    retry_after INTEGER NOT NULL CHECK (retry_after > 0), -- seconds
    allow       TEXT    NOT NULL -- networks with commas, as model::Networks writes them
) STRICT;

-- A row for each app that asks its visitors for a password.
CREATE TABLE http_auth (
    app_id INTEGER NOT NULL PRIMARY KEY REFERENCES apps (id) ON DELETE CASCADE
) STRICT;

-- Who may pass there; kept while the app does not ask.
CREATE TABLE http_auth_users (
    app_id        INTEGER NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    name          TEXT    NOT NULL,
    password_hash TEXT    NOT NULL, -- Argon2id in PHC format
    PRIMARY KEY (app_id, name)
) STRICT, WITHOUT ROWID;

-- HTML of apps in place of the proxy's pages. A page that is replaced gets another id, by which readers keep it.
CREATE TABLE proxy_pages (
    id     INTEGER PRIMARY KEY AUTOINCREMENT,
    app_id INTEGER NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    name   TEXT    NOT NULL, -- model::PageName
    html   TEXT    NOT NULL,
    UNIQUE (app_id, name)
) STRICT;
