-- Domains of the server beside those of its settings: every app answers at <app>.<name>.
CREATE TABLE global_domains (
    name TEXT NOT NULL PRIMARY KEY
) STRICT, WITHOUT ROWID;

-- How an app is reached, where that is not at its own domains and at <app>.<global domain>.
CREATE TABLE exposures (
    app_id     INTEGER NOT NULL PRIMARY KEY REFERENCES apps (id) ON DELETE CASCADE,
    is_public  INTEGER NOT NULL DEFAULT 1 CHECK (is_public IN (0, 1)),
    has_global INTEGER NOT NULL DEFAULT 1 CHECK (has_global IN (0, 1))
) STRICT;

-- Addresses of an app that lead to processes of another type or another app. An empty domain is all of the app's, an
-- empty path all paths.
CREATE TABLE routes (
    app_id       INTEGER NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    domain       TEXT    NOT NULL,
    path         TEXT    NOT NULL,
    to_app_id    INTEGER NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    process_type TEXT    NOT NULL,
    is_stripped  INTEGER NOT NULL CHECK (is_stripped IN (0, 1)),
    PRIMARY KEY (app_id, domain, path)
) STRICT, WITHOUT ROWID;
CREATE INDEX routes_by_target ON routes (to_app_id);

-- Addresses of an app that send visitors elsewhere; the same rule for an empty domain and path.
CREATE TABLE redirects (
    app_id      INTEGER NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    domain      TEXT    NOT NULL,
    path        TEXT    NOT NULL,
    destination TEXT    NOT NULL,
    code        INTEGER NOT NULL CHECK (code IN (301, 302, 307, 308)),
    PRIMARY KEY (app_id, domain, path)
) STRICT, WITHOUT ROWID;
CREATE INDEX redirects_by_domain ON redirects (domain) WHERE domain <> '';
