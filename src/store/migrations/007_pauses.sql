-- Until when requests for an app wait, in microseconds since 1970. A moment that has passed means nothing.
CREATE TABLE pauses (
    app_id       INTEGER NOT NULL PRIMARY KEY REFERENCES apps (id) ON DELETE CASCADE,
    paused_until INTEGER NOT NULL
) STRICT;
