-- Format 3.
INSERT INTO format (number) VALUES (3);
CREATE TABLE collected (
    tenant TEXT NOT NULL,
    source TEXT NOT NULL,
    object TEXT NOT NULL,
    -- The object itself, or a file inside it.
    file TEXT NOT NULL,
    -- Changes when the object changes.
    version TEXT NOT NULL,
    -- SHA-256 of the plain bytes, in hex.
    hash TEXT,
    records INTEGER NOT NULL,
    rejected INTEGER NOT NULL,
    -- Milliseconds since 1970, by the file's name.
    newest INTEGER,
    -- The content of digests, signatures and keys.
    content BLOB,
    failure TEXT,
    -- Milliseconds since 1970.
    taken INTEGER NOT NULL,
    PRIMARY KEY (tenant, source, object, file)
) STRICT;
