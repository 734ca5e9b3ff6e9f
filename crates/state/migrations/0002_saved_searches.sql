-- Format 2.
INSERT INTO format (number) VALUES (2);
CREATE TABLE saved_searches (
    tenant TEXT NOT NULL,
    name TEXT NOT NULL,
    -- The filter, as the filter bar takes it.
    filter TEXT NOT NULL,
    -- Milliseconds since 1970.
    created INTEGER NOT NULL,
    PRIMARY KEY (tenant, name)
) STRICT;
