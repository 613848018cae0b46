-- Backups that the server makes by itself: at most one row, sealed JSON of model::BackupSchedule, which holds a passphrase.
CREATE TABLE backup_schedule (
    id       INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    schedule BLOB    NOT NULL -- sealed
) STRICT;

-- Those whose files are there, those that failed, and the one that is being made.
CREATE TABLE backups (
    name        TEXT    NOT NULL PRIMARY KEY, -- of the file
    folder      BLOB    NOT NULL,
    started_at  INTEGER NOT NULL,
    finished_at INTEGER,
    status      TEXT    NOT NULL CHECK (status IN ('running', 'verified', 'failed')), -- model::BackupStatus
    bytes       INTEGER,
    failure     TEXT
) STRICT, WITHOUT ROWID;
