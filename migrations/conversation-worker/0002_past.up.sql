-- compatible-with: 1
-- Counts how often what was said before in a conversation has changed: an edit, a deletion, a turn
-- that ended out of its order. Who keeps the past in memory compares, and reads it anew. What is
-- only added behind the newest turn does not count. Triggers, so that nobody can forget it.
ALTER TABLE lanes ADD COLUMN past_changes INTEGER NOT NULL DEFAULT 0;

CREATE TRIGGER past_message_changed AFTER UPDATE OF turn_id, author_id, author_name, bot_id, content,
attachments, forwarded, reference_id, reference_author_id, reference_name, reference_content, state
ON inbox BEGIN
    UPDATE lanes SET past_changes = past_changes + 1 WHERE conversation_id = OLD.conversation_id;
END;
CREATE TRIGGER past_message_removed AFTER DELETE ON inbox BEGIN
    UPDATE lanes SET past_changes = past_changes + 1 WHERE conversation_id = OLD.conversation_id;
END;

CREATE TRIGGER past_reply_changed AFTER UPDATE ON replies BEGIN
    UPDATE lanes SET past_changes = past_changes + 1
    WHERE conversation_id = (SELECT conversation_id FROM turns WHERE id = OLD.turn_id);
END;
CREATE TRIGGER past_reply_removed AFTER DELETE ON replies BEGIN
    UPDATE lanes SET past_changes = past_changes + 1
    WHERE conversation_id = (SELECT conversation_id FROM turns WHERE id = OLD.turn_id);
END;

-- A turn that ends is added, unless a later one has ended before it.
CREATE TRIGGER past_turn_changed AFTER UPDATE OF ended_unix_ms, generation ON turns
WHEN OLD.ended_unix_ms IS NOT NULL OR EXISTS (
    SELECT 1 FROM turns AS later WHERE later.conversation_id = NEW.conversation_id
    AND later.id > NEW.id AND later.ended_unix_ms IS NOT NULL
) BEGIN
    UPDATE lanes SET past_changes = past_changes + 1 WHERE conversation_id = OLD.conversation_id;
END;
CREATE TRIGGER past_turn_removed AFTER DELETE ON turns BEGIN
    UPDATE lanes SET past_changes = past_changes + 1 WHERE conversation_id = OLD.conversation_id;
END;
