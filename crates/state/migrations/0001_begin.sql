-- Format 1.
CREATE TABLE format (number INTEGER NOT NULL);
INSERT INTO format (number) VALUES (1);
CREATE TABLE tokens (
    id TEXT PRIMARY KEY,
    -- SHA-256 of the secret, which is kept nowhere.
    digest BLOB NOT NULL UNIQUE,
    name TEXT NOT NULL,
    tenant TEXT NOT NULL,
    -- Scopes, joined by spaces.
    scopes TEXT NOT NULL,
    -- Milliseconds since 1970.
    created INTEGER NOT NULL,
    expires INTEGER,
    last_used INTEGER
) STRICT;
