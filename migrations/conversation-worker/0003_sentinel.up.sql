-- compatible-with: 1
-- The last sign of life that was written with what people said: whoever restores a copy asks for it
-- back. It is written only after something else was, so that a silent house writes nothing.
CREATE TABLE sentinel (
    id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    beats INTEGER NOT NULL, -- how often it was written
    written_unix_ms INTEGER NOT NULL,
    kept INTEGER NOT NULL, -- messages and replies that were there then, at least
    removed_before INTEGER NOT NULL, -- of them ever removed until then
    removed INTEGER NOT NULL -- of them ever removed
) STRICT;
INSERT INTO sentinel VALUES (1, 0, 0, 0, 0, 0);

-- Whole rows that go are counted, so that a copy with fewer of them can be told from a torn one.
CREATE TRIGGER sentinel_message_removed AFTER DELETE ON inbox BEGIN
    UPDATE sentinel SET removed = removed + 1;
END;
CREATE TRIGGER sentinel_reply_removed AFTER DELETE ON replies BEGIN
    UPDATE sentinel SET removed = removed + 1;
END;
