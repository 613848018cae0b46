-- A row where a push to a name that no app has is refused, whatever the settings of the server say.
CREATE TABLE app_creation (
    id                       INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    is_autocreation_disabled INTEGER NOT NULL CHECK (is_autocreation_disabled IN (0, 1))
) STRICT;
