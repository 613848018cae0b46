-- Certificates of apps. Names and dates are not columns: the certificate itself says them. An app may have several, of one
-- origin too (those of an authority are per set of names); a row is never changed, a renewal is a new row.
-- AUTOINCREMENT: what was read of an id stays true, and its sealed key is bound to it.
CREATE TABLE certificates (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    app_id     INTEGER NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    origin     TEXT    NOT NULL CHECK (origin IN ('custom', 'acme', 'self-signed')), -- model::CertificateOrigin
    chain      TEXT    NOT NULL, -- PEM, the app's certificate first
    key        BLOB    NOT NULL, -- sealed PEM
    created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX certificates_by_app ON certificates (app_id);
