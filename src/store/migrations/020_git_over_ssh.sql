-- Repositories over ssh: the keys by which their hosts are known, and the one the server shows them.
CREATE TABLE git_hosts (
    host TEXT NOT NULL PRIMARY KEY, -- model::GitHost
    keys TEXT NOT NULL -- JSON of model::HostKey
) STRICT, WITHOUT ROWID;
CREATE TABLE deploy_key (
    id  INTEGER PRIMARY KEY CHECK (id = 1),
    key BLOB    NOT NULL -- sealed
) STRICT;
