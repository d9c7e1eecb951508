-- What people asked, what was answered, and what is on its way.
-- Ids of Discord are its snowflakes as numbers; times are milliseconds since the Unix epoch.

PRAGMA application_id = 1802464878; -- "konn": how the service knows its own file

-- How far each stream of the bus was taken in.
CREATE TABLE cursors (
    stream TEXT NOT NULL PRIMARY KEY,
    last_sequence INTEGER NOT NULL,
    created_unix_ms INTEGER NOT NULL -- of the stream: another one means it was made anew
) STRICT;

-- Who speaks with whom where. The key never mixes guilds, channels or users.
CREATE TABLE conversations (
    id INTEGER NOT NULL PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    guild_id INTEGER,
    channel_id INTEGER NOT NULL, -- where it goes on: the thread, or the channel itself
    parent_id INTEGER, -- where the thread was opened
    created_unix_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX conversations_channel ON conversations (channel_id);
CREATE INDEX conversations_parent ON conversations (parent_id) WHERE parent_id IS NOT NULL;

-- Who works at a conversation: one turn at a time, and only under the newest epoch.
CREATE TABLE lanes (
    conversation_id INTEGER NOT NULL PRIMARY KEY REFERENCES conversations (id),
    owner TEXT,
    epoch INTEGER NOT NULL DEFAULT 0,
    lease_until_unix_ms INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE turns (
    id INTEGER NOT NULL PRIMARY KEY, -- the oldest message it answers
    conversation_id INTEGER NOT NULL REFERENCES conversations (id),
    state TEXT NOT NULL CHECK (state IN (
        'queued', 'prompting', 'streaming', 'committed', 'sending', 'done', 'dead', 'cancelled'
    )),
    generation INTEGER NOT NULL DEFAULT 0,
    user_id INTEGER NOT NULL,
    guild_id INTEGER,
    -- Set when it is claimed: the place of the answer, and the range of messages it covers.
    question_id INTEGER,
    channel_id INTEGER,
    thread_name TEXT, -- set where the answer goes into a thread opened from the question
    newest_id INTEGER,
    language TEXT,
    counted INTEGER NOT NULL DEFAULT 0, -- 1 once it counts against the daily caps
    owner TEXT,
    epoch INTEGER NOT NULL DEFAULT 0,
    attempts INTEGER NOT NULL DEFAULT 0,
    ending TEXT CHECK (ending IN ('answer', 'partial', 'notice', 'none')),
    reason TEXT, -- why it was not simply answered; never message text
    queued_unix_ms INTEGER NOT NULL,
    claimed_unix_ms INTEGER,
    ended_unix_ms INTEGER,
    CHECK ((state IN ('done', 'dead', 'cancelled')) = (ended_unix_ms IS NOT NULL))
) STRICT;
CREATE INDEX turns_history ON turns (conversation_id, id);
CREATE INDEX turns_open ON turns (conversation_id, id) WHERE ended_unix_ms IS NULL;

-- What came in. The key is the cause itself, so that it can be taken in only once.
CREATE TABLE inbox (
    id INTEGER NOT NULL PRIMARY KEY, -- the message
    stream_sequence INTEGER NOT NULL, -- of its event, for the secure delete
    conversation_id INTEGER NOT NULL REFERENCES conversations (id),
    turn_id INTEGER REFERENCES turns (id),
    reason TEXT NOT NULL,
    place TEXT NOT NULL,
    opens_thread INTEGER NOT NULL DEFAULT 0,
    guild_id INTEGER,
    channel_id INTEGER NOT NULL,
    author_id INTEGER NOT NULL,
    author_name TEXT NOT NULL,
    bot_id INTEGER,
    locale TEXT,
    content TEXT NOT NULL,
    attachments TEXT NOT NULL DEFAULT '', -- their names, one a line
    forwarded TEXT NOT NULL DEFAULT '',
    reference_id INTEGER,
    reference_author_id INTEGER,
    reference_name TEXT NOT NULL DEFAULT '',
    reference_content TEXT NOT NULL DEFAULT '',
    edited_unix_us INTEGER NOT NULL DEFAULT 0, -- microseconds, as Discord gives it
    state TEXT NOT NULL DEFAULT 'live' CHECK (state IN ('live', 'withdrawn', 'deleted')),
    received_unix_ms INTEGER NOT NULL,
    ingested_unix_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX inbox_turn ON inbox (turn_id);
CREATE INDEX inbox_channel ON inbox (channel_id);
CREATE INDEX inbox_reference ON inbox (reference_id) WHERE reference_id IS NOT NULL;

-- The messages a turn answers, frozen when it is claimed.
CREATE TABLE turn_messages (
    turn_id INTEGER NOT NULL REFERENCES turns (id),
    position INTEGER NOT NULL,
    message_id INTEGER NOT NULL REFERENCES inbox (id),
    PRIMARY KEY (turn_id, position)
) STRICT, WITHOUT ROWID;

-- One row for each request to a model, written before the request leaves.
CREATE TABLE attempts (
    turn_id INTEGER NOT NULL REFERENCES turns (id),
    generation INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    provider TEXT NOT NULL,
    model TEXT NOT NULL,
    input_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    estimated INTEGER NOT NULL DEFAULT 1,
    started_unix_ms INTEGER NOT NULL,
    first_text_ms INTEGER,
    duration_ms INTEGER,
    outcome TEXT CHECK (outcome IN ('completed', 'failed', 'cancelled', 'interrupted')),
    error TEXT,
    cost_nano_usd INTEGER,
    PRIMARY KEY (turn_id, generation, attempt)
) STRICT, WITHOUT ROWID;

CREATE TABLE replies (
    turn_id INTEGER NOT NULL REFERENCES turns (id),
    generation INTEGER NOT NULL,
    text TEXT NOT NULL,
    whole INTEGER NOT NULL, -- 0 where the model failed on the way
    created_unix_ms INTEGER NOT NULL,
    PRIMARY KEY (turn_id, generation)
) STRICT;

-- The messages of our own in Discord.
CREATE TABLE reply_parts (
    message_id INTEGER NOT NULL PRIMARY KEY,
    turn_id INTEGER NOT NULL REFERENCES turns (id),
    conversation_id INTEGER NOT NULL REFERENCES conversations (id),
    generation INTEGER NOT NULL,
    purpose TEXT NOT NULL CHECK (purpose IN ('answer', 'notice')),
    part INTEGER NOT NULL,
    channel_id INTEGER NOT NULL
) STRICT;
CREATE INDEX reply_parts_turn ON reply_parts (turn_id);
CREATE INDEX reply_parts_channel ON reply_parts (channel_id);

-- What is to be published, in order; the row stays until Discord's answer is in.
CREATE TABLE outbox (
    sequence INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE, -- the command's name, or the attempt's for usage
    purpose TEXT NOT NULL CHECK (purpose IN ('thread', 'open', 'finish', 'notice', 'react', 'usage')),
    conversation_id INTEGER NOT NULL REFERENCES conversations (id),
    turn_id INTEGER NOT NULL REFERENCES turns (id),
    subject TEXT NOT NULL,
    payload BLOB, -- emptied when the turn has ended
    created_unix_ms INTEGER NOT NULL,
    stream_sequence INTEGER, -- once published; for the secure delete
    result TEXT -- 'done', or the class of the failure
) STRICT;
CREATE INDEX outbox_waiting ON outbox (sequence) WHERE result IS NULL;
CREATE INDEX outbox_turn ON outbox (turn_id);

-- Other events that hold a message's text: edits, and echoes of our own messages.
CREATE TABLE copies (
    message_id INTEGER NOT NULL,
    stream_sequence INTEGER NOT NULL,
    stored_unix_ms INTEGER NOT NULL,
    PRIMARY KEY (message_id, stream_sequence)
) STRICT, WITHOUT ROWID;
CREATE INDEX copies_age ON copies (stored_unix_ms);

-- What is still to be removed from the bus because its message was deleted.
CREATE TABLE erasures (
    stream TEXT NOT NULL,
    stream_sequence INTEGER NOT NULL,
    asked_unix_ms INTEGER NOT NULL,
    PRIMARY KEY (stream, stream_sequence)
) STRICT, WITHOUT ROWID;

-- Deleted messages: one that is created later, or again, stays deleted.
CREATE TABLE tombstones (
    message_id INTEGER NOT NULL PRIMARY KEY,
    deleted_unix_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX tombstones_age ON tombstones (deleted_unix_ms);

-- How many turns were answered on a day, for a person or for a guild.
CREATE TABLE caps (
    day TEXT NOT NULL,
    scope TEXT NOT NULL, -- 'user:<id>' or 'guild:<id>'
    turns INTEGER NOT NULL DEFAULT 0,
    noticed INTEGER NOT NULL DEFAULT 0, -- 1 once the person was told that it is enough for today
    PRIMARY KEY (day, scope)
) STRICT, WITHOUT ROWID;
