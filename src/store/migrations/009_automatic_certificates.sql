-- Certificates without an app are the server's own: those of its domains, which serve all apps below them. The column that
-- may be NULL now needs a new table; sqlite_sequence goes on where it was, for no id is given twice.
CREATE TABLE certificates_next (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    app_id     INTEGER REFERENCES apps (id) ON DELETE CASCADE,
    origin     TEXT    NOT NULL CHECK (origin IN ('custom', 'acme', 'self-signed')), -- model::CertificateOrigin
    chain      TEXT    NOT NULL, -- PEM, the certificate itself first
    key        BLOB    NOT NULL, -- sealed PEM
    created_at INTEGER NOT NULL
) STRICT;
INSERT INTO certificates_next SELECT id, app_id, origin, chain, key, created_at FROM certificates;
DELETE FROM sqlite_sequence WHERE name = 'certificates_next';
INSERT INTO sqlite_sequence (name, seq) SELECT 'certificates_next', seq FROM sqlite_sequence WHERE name = 'certificates';
DROP TABLE certificates;
ALTER TABLE certificates_next RENAME TO certificates;
CREATE INDEX certificates_by_app ON certificates (app_id);

-- Whether certificates are ordered for an app. One without a row does as the server does.
CREATE TABLE automatic_certificates (
    app_id INTEGER NOT NULL PRIMARY KEY REFERENCES apps (id) ON DELETE CASCADE,
    is_on  INTEGER NOT NULL CHECK (is_on IN (0, 1))
) STRICT;

-- What the server does with apps that say nothing. No row: certificates are ordered.
CREATE TABLE automatic_certificates_default (
    id    INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    is_on INTEGER NOT NULL CHECK (is_on IN (0, 1))
) STRICT;

-- All domains are read in this order whenever one has changed; the name is in the index, so the table is not looked at.
DROP INDEX domains_by_app;
CREATE INDEX domains_by_app ON domains (app_id, name);
