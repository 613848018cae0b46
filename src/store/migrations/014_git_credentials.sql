-- What hosts of private repositories are told when the server fetches there.
CREATE TABLE git_credentials (
    host       TEXT NOT NULL PRIMARY KEY, -- model::GitHost
    credential BLOB NOT NULL -- sealed JSON of model::GitCredential
) STRICT, WITHOUT ROWID;
