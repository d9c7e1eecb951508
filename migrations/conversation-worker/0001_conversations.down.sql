-- Takes every table away, and with them every conversation.
DROP TABLE caps;
DROP TABLE tombstones;
DROP TABLE erasures;
DROP TABLE copies;
DROP TABLE outbox;
DROP TABLE reply_parts;
DROP TABLE replies;
DROP TABLE attempts;
DROP TABLE turn_messages;
DROP TABLE inbox;
DROP TABLE turns;
DROP TABLE lanes;
DROP TABLE conversations;
DROP TABLE cursors;
