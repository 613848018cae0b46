-- Folders of the storage that the containers of an app see. The folders themselves outlive the app.
CREATE TABLE storage_mounts (
    app_id       INTEGER NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    target       TEXT    NOT NULL, -- model::ContainerPath
    name         TEXT    NOT NULL, -- model::StorageName
    is_read_only INTEGER NOT NULL CHECK (is_read_only IN (0, 1)),
    PRIMARY KEY (app_id, target)
) STRICT, WITHOUT ROWID;
