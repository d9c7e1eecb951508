//! (e) Whether a long memory makes turns slower.

use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use simulator::world::id::{EPOCH_MS, Id};
use simulator::world::threads::NewThread;
use sqlx::{AssertSqlSafe, Connection as _, SqliteConnection};

use crate::Scope;
use crate::figures::{Aim, Figure, Samples, Section};
use crate::pace::{between_ms, now_us};
use crate::stage::Stage;

const MODEL_MS: u64 = 20;
/// Conversations in which questions are asked.
const STORIES: i64 = 4;
/// Small enough that both memories fill it: the prompts are the same, only the database differs.
const CONTEXT_TOKENS: &str = "4096";
/// How far back the oldest message lies, in milliseconds.
const BACK_MS: u64 = 20 * 24 * 3_600_000;
/// A prime, by which the turns of one conversation are scattered over the whole time.
const SCATTER: i64 = 7_919;

/// What the bench calls history: so many turns in each story, and others beside them.
#[derive(Debug, Clone, Copy)]
struct Memory {
    story_turns: i64,
    others: i64,
    other_turns: i64,
}

impl Memory {
    /// A turn is two messages.
    fn messages(self) -> i64 {
        2 * (STORIES * self.story_turns + self.others * self.other_turns)
    }
}

const SMALL: Memory = Memory { story_turns: 100, others: 10, other_turns: 10 };
const LARGE: Memory = Memory { story_turns: 50_000, others: 3_000, other_turns: 100 };
const QUICK: Memory = Memory { story_turns: 5_000, others: 300, other_turns: 100 };

/// Measures turns in two houses by turns.
pub(crate) async fn measure(scope: &Scope) -> anyhow::Result<Section> {
    let mut section = Section::new("e", "Turns with a long memory");
    let large = scope.sized(LARGE, QUICK);
    scope.say(&format!("(e) {} and {} messages of history", SMALL.messages(), large.messages()));
    let begun = Instant::now();
    let (mut small_house, _) = Told::build(SMALL).await?;
    let (mut large_house, large_ready_ms) = Told::build(large).await?;
    let seeded = begun.elapsed().as_secs_f64();
    let (mut small_ms, mut large_ms) = (Samples::default(), Samples::default());
    for _ in 0..scope.sized(4, 2) {
        small_ms.extend(&small_house.turns(50).await?);
        large_ms.extend(&large_house.turns(50).await?);
    }
    for (word, share) in [("p50", 0.5), ("p99", 0.99)] {
        section.add(
            Figure::new(
                format!("message sent → model asked with {} messages, {word}", large.messages()),
                large_ms.quantile(share),
                "ms",
            )
            .against(small_ms.quantile(share))
            .aim(Aim::RatioAtMost(1.2)),
        );
    }
    let name = format!("worker ready with {} messages", large.messages());
    section.add(Figure::new(name, large_ready_ms, "ms"));
    section.remark(format!(
        "{} turns each, one after another, in alternating rounds, in {STORIES} conversations that \
         hold {} turns each against {} (baseline), beside {} others against {}. The context window \
         is {CONTEXT_TOKENS} tokens, which both fill, so that the prompts are alike. Writing the \
         history into the databases took {seeded:.0} s.",
        small_ms.len(),
        large.story_turns,
        SMALL.story_turns,
        large.others,
        SMALL.others,
    ));
    Ok(section)
}

/// A house whose database already holds a past.
struct Told {
    stage: Stage,
    threads: Vec<Id>,
}

impl Told {
    /// Builds the house, lets the worker make its tables, writes the past and starts again; and
    /// how long the worker then took to be ready.
    async fn build(memory: Memory) -> anyhow::Result<(Self, f64)> {
        let settings = vec![("MODEL_CONTEXT_TOKENS", CONTEXT_TOKENS.to_owned())];
        let mut stage = Stage::build(false, settings).await?;
        stage.script(&[MODEL_MS]).await?;
        let (parent, owner) = (stage.channels[0], stage.people[0]);
        let threads: Vec<Id> = stage.house.simulator().with(|core| {
            (0..STORIES)
                .filter_map(|n| {
                    let new = NewThread::public(format!("story {n}"));
                    core.world.open_thread(parent, owner, new, None)
                })
                .collect()
        });
        stage.start().await?;
        stage.house.worker.stop().await?;
        seed(&stage.house.database(), &stage, &threads, memory).await?;
        let ready = stage.house.worker.start_timed().await?;
        Ok((Self { stage, threads }, ready.as_secs_f64() * 1e3))
    }

    /// Asks so many questions, each when the one before is answered: overheads in milliseconds.
    async fn turns(&mut self, count: usize) -> anyhow::Result<Samples> {
        self.stage.house.simulator().ledger().clear();
        let mut asked = HashMap::new();
        for index in 0..count {
            let place = self.threads[index % self.threads.len()];
            let (number, question) = self.stage.ask(place, MODEL_MS)?;
            asked.insert(number, question);
            let deadline = Instant::now() + Duration::from_secs(30);
            while !self.stage.is_answered(place) {
                anyhow::ensure!(
                    Instant::now() < deadline,
                    "a question is not answered:\n{}",
                    self.stage.house.worker.log()?
                );
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            // The turn's last records are written before the next begins.
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
        let round = self.stage.read(&asked);
        anyhow::ensure!(round.times.len() == count, "every question is answered whole");
        Ok(round.times.iter().map(|times| between_ms(times.sent, times.asked)).collect())
    }
}

/// Writes the past straight into the worker's tables, while the worker is away.
async fn seed(path: &Path, stage: &Stage, threads: &[Id], memory: Memory) -> anyhow::Result<()> {
    let mut database = SqliteConnection::connect(&format!("sqlite://{}", path.display())).await?;
    // Lost in a crash, which would only mean to write it again.
    sqlx::query("PRAGMA synchronous = OFF").execute(&mut database).await?;
    let total = memory.messages() / 2;
    let begin_ms = now_us() / 1000 - BACK_MS;
    let ids = Past {
        guild: signed(stage.guild),
        person: signed(stage.people[0]),
        first: i64::try_from(begin_ms - EPOCH_MS)? << 22,
        step: i64::try_from(BACK_MS / 2)? / total,
    };
    let mut places: Vec<i64> = threads.iter().map(|thread| signed(*thread)).collect();
    // Channels that nobody asks in: they need not exist in the world.
    places.extend((0..memory.others).map(|index| 1_000 + index));
    let mut transaction = database.begin().await?;
    for (id, channel) in (1_i64..).zip(places) {
        run(&mut transaction, ids.conversation(id, channel)).await?;
    }
    run(&mut transaction, ids.turns(memory)).await?;
    for statement in ids.rest() {
        run(&mut transaction, statement).await?;
    }
    transaction.commit().await?;
    let kept: i64 =
        sqlx::query_scalar("SELECT count(*) FROM inbox").fetch_one(&mut database).await?;
    anyhow::ensure!(kept == total, "the past has {kept} questions instead of {total}");
    database.close().await?;
    Ok(())
}

async fn run(database: &mut SqliteConnection, statements: String) -> anyhow::Result<()> {
    sqlx::raw_sql(AssertSqlSafe(statements)).execute(database).await.context("write the past")?;
    Ok(())
}

/// Numbers of which all rows of the past are made.
struct Past {
    guild: i64,
    person: i64,
    /// The oldest message.
    first: i64,
    /// From one turn to the next, in milliseconds.
    step: i64,
}

impl Past {
    fn conversation(&self, id: i64, channel: i64) -> String {
        let Self { guild, .. } = self;
        format!(
            "INSERT INTO conversations (id, key, guild_id, channel_id, created_unix_ms) \
             VALUES ({id}, 'thread:{guild}:{channel}', {guild}, {channel}, 1700000000000); \
             INSERT INTO lanes (conversation_id) VALUES ({id});"
        )
    }

    /// The turns of all conversations, in each other's midst, as time would have laid them.
    fn turns(&self, memory: Memory) -> String {
        let Self { guild, person, first, step } = self;
        let total = memory.messages() / 2;
        let in_stories = STORIES * memory.story_turns;
        let others = memory.others;
        format!(
            "INSERT INTO turns (id, conversation_id, state, user_id, guild_id, question_id, \
             channel_id, newest_id, language, counted, ending, queued_unix_ms, claimed_unix_ms, \
             ended_unix_ms) \
             WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {total}), \
             past(turn, conversation) AS (SELECT {first} + (((i * {SCATTER}) % {total} * {step}) << 22), \
             CASE WHEN i < {in_stories} THEN 1 + i % {STORIES} \
             ELSE {STORIES} + 1 + (i - {in_stories}) % {others} END FROM n) \
             SELECT turn, conversation, 'done', {person}, {guild}, turn, channel_id, turn, 'en', 1, \
             'answer', ms, ms, ms FROM (SELECT turn, conversation, (turn >> 22) + {EPOCH_MS} AS ms \
             FROM past ORDER BY turn) JOIN conversations ON conversations.id = conversation;"
        )
    }

    /// What belongs to the turns.
    fn rest(&self) -> [String; 5] {
        let Self { guild, person, .. } = self;
        [
            format!(
                "INSERT INTO inbox (id, stream_sequence, conversation_id, turn_id, reason, place, \
                 guild_id, channel_id, author_id, author_name, locale, content, received_unix_ms, \
                 ingested_unix_ms) SELECT id, 0, conversation_id, id, 'mention', 'in_place', {guild}, \
                 channel_id, {person}, 'person0', 'en-US', 'Tell me more of the evening number ' \
                 || (id >> 22) % 1000 || ' at the old bridge, and of the boats that came home late.', \
                 queued_unix_ms, queued_unix_ms FROM turns ORDER BY id;"
            ),
            "INSERT INTO turn_messages (turn_id, position, message_id) \
             SELECT id, 0, id FROM turns ORDER BY id;"
                .to_owned(),
            "INSERT INTO attempts (turn_id, generation, attempt, provider, model, input_tokens, \
             output_tokens, estimated, started_unix_ms, first_text_ms, duration_ms, outcome) \
             SELECT id, 0, 1, 'openai', 'simulated', 900, 40, 0, queued_unix_ms, 300, 2000, \
             'completed' FROM turns ORDER BY id;"
                .to_owned(),
            "INSERT INTO replies (turn_id, generation, text, whole, created_unix_ms) \
             SELECT id, 0, 'The light came low over the water that evening, and of ' \
             || (id >> 22) % 100 || ' boats all but one were home before the bridge was dark.', 1, \
             ended_unix_ms FROM turns ORDER BY id;"
                .to_owned(),
            "INSERT INTO reply_parts (message_id, turn_id, conversation_id, generation, purpose, \
             part, channel_id) SELECT id + 1, id, conversation_id, 0, 'answer', 0, channel_id \
             FROM turns ORDER BY id;"
                .to_owned(),
        ]
    }
}

fn signed(id: Id) -> i64 {
    id.0.cast_signed()
}
