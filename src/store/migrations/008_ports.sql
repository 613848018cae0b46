-- Ports of the host that lead to ports of an app's web processes. Several apps may share one: visitors are told apart by
-- the host they ask for. 80 and 443 are the server's own listeners, wherever those are.
CREATE TABLE ports (
    app_id         INTEGER NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    host_port      INTEGER NOT NULL CHECK (host_port BETWEEN 1 AND 65535),
    scheme         TEXT    NOT NULL CHECK (scheme IN ('http', 'https')),
    container_port INTEGER NOT NULL CHECK (container_port BETWEEN 1 AND 65535),
    PRIMARY KEY (app_id, host_port)
) STRICT, WITHOUT ROWID;
CREATE INDEX ports_by_host_port ON ports (host_port);
