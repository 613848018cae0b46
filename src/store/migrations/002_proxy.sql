-- What was set of the proxy for an app. Names and values are those of model::ProxyOptions, which checks them.
CREATE TABLE proxy_settings (
    app_id INTEGER NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    name   TEXT    NOT NULL,
    value  TEXT    NOT NULL,
    PRIMARY KEY (app_id, name)
) STRICT, WITHOUT ROWID;
