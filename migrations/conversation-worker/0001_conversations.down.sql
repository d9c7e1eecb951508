-- loses: every conversation, with all that was asked and answered, and what is still on its way
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
