-- What is kept of certificates that mini orders from an authority (RFC 8555), beside the certificates themselves.

-- Our account at each authority. Its credentials are sealed JSON: where it is, and its key.
CREATE TABLE authority_accounts (
    directory   TEXT PRIMARY KEY,
    email       TEXT NOT NULL,
    credentials BLOB NOT NULL
) STRICT;

-- How the tries for a name went since the last success, and who works on it. No row: nothing has failed.
CREATE TABLE certificate_orders (
    name          TEXT    PRIMARY KEY, -- a host name, or a wildcard
    failures      INTEGER NOT NULL,
    reason        TEXT    NOT NULL, -- why the last one failed; empty if none has
    failed_at     INTEGER NOT NULL,
    next_try      INTEGER NOT NULL,
    claimed_until INTEGER
) STRICT;

-- When orders were placed, as far back as authorities count them.
CREATE TABLE placed_orders (
    placed_at INTEGER NOT NULL
) STRICT;
CREATE INDEX placed_orders_by_time ON placed_orders (placed_at);

-- When the authority wants a certificate renewed (RFC 9773), by what it knows the certificate by.
CREATE TABLE renewal_advice (
    id           TEXT    PRIMARY KEY,
    window_start INTEGER,
    window_end   INTEGER,
    ask_again    INTEGER NOT NULL
) STRICT;
