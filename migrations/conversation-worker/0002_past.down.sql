DROP TRIGGER past_turn_removed;
DROP TRIGGER past_turn_changed;
DROP TRIGGER past_reply_removed;
DROP TRIGGER past_reply_changed;
DROP TRIGGER past_message_removed;
DROP TRIGGER past_message_changed;
ALTER TABLE lanes DROP COLUMN past_changes;
