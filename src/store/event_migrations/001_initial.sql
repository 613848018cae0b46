-- One row per event of the journal; `at` is microseconds since 1970 in UTC, `body` is JSON.
CREATE TABLE events (
    subject TEXT    NOT NULL,
    seq     INTEGER NOT NULL CHECK (seq > 0),
    at      INTEGER NOT NULL,
    body    TEXT    NOT NULL,
    PRIMARY KEY (subject, seq)
) STRICT, WITHOUT ROWID;
