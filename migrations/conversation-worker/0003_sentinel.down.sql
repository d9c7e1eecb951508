DROP TRIGGER sentinel_reply_removed;
DROP TRIGGER sentinel_message_removed;
DROP TABLE sentinel;
