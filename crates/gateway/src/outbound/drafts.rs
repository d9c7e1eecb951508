//! Shows drafts: the newest of each turn, at the pace its channel allows, never in a final's way.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bus::Bus;
use contracts::draft::Draft;
use contracts::id::{ChannelId, TurnId};
use contracts::{envelope, subject};
use tokio_util::sync::CancellationToken;

use crate::outbound::governor::Governor;
use crate::outbound::record::{Phase, Records};
use crate::outbound::turns::{Turn, Turns};
use crate::render;
use crate::rest::{Call, Failure, Rest};

const RETRY: Duration = Duration::from_millis(500);
/// How long a draft stands back where a command is at work on its turn.
const STAND_BACK: Duration = Duration::from_millis(20);
/// Between two signs of typing in a channel: Discord shows one for ten seconds, and workers ask
/// for it every five.
const TYPING_EVERY: Duration = Duration::from_secs(4);
/// How many channels' last typing is kept before old ones are forgotten.
const TYPING_KEPT_MAX: usize = 1_024;

/// The listener for drafts.
#[derive(Debug, Clone)]
pub(crate) struct Drafts {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    bus: Bus,
    rest: Rest,
    turns: Arc<Turns>,
    records: Records,
    governor: Governor,
    waiting: Mutex<Waiting>,
    stop: CancellationToken,
}

#[derive(Debug, Default)]
struct Waiting {
    newest: HashMap<TurnId, Draft>,
    channels: HashMap<ChannelId, VecDeque<TurnId>>,
    typed: HashMap<ChannelId, Instant>,
}

/// What became of a draft.
enum Shown {
    /// It is shown, or pointless.
    Settled,
    /// Not now: show it, or a newer one, after this time.
    Later(Instant),
}

impl Drafts {
    pub(super) fn new(
        bus: Bus,
        rest: Rest,
        turns: Arc<Turns>,
        records: Records,
        stop: CancellationToken,
    ) -> Self {
        let inner = Inner {
            bus,
            rest,
            turns,
            records,
            governor: Governor::default(),
            waiting: Mutex::default(),
            stop,
        };
        Self { inner: Arc::new(inner) }
    }

    /// Listens until told to stop.
    pub(crate) async fn run(self) {
        let stop = self.inner.stop.clone();
        while !stop.is_cancelled() {
            match stop.run_until_cancelled(self.inner.bus.subscribe(subject::DRAFTS)).await {
                None => return,
                Some(Ok(mut subscription)) => {
                    while let Some(Some(message)) =
                        stop.run_until_cancelled(subscription.next()).await
                    {
                        self.inner.take(&message.payload);
                    }
                }
                Some(Err(error)) => tracing::warn!(%error, "drafts cannot be listened to"),
            }
            stop.run_until_cancelled(tokio::time::sleep(RETRY)).await;
        }
    }
}

impl Inner {
    fn take(self: &Arc<Self>, payload: &[u8]) {
        let draft: Draft = match envelope::decode(payload) {
            Ok(draft) => draft,
            Err(error) => {
                metrics::counter!("gateway_drafts_total", "fate" => "unreadable").increment(1);
                tracing::warn!(%error, "a draft cannot be read");
                return;
            }
        };
        if draft.text.is_empty() {
            tokio::spawn(Arc::clone(self).show_typing(draft));
            return;
        }
        let channel = draft.place.target();
        if self.lock().put(channel, draft) {
            tokio::spawn(Arc::clone(self).paint(channel));
        }
    }

    /// Shows the drafts of one channel, turn by turn, until there are none.
    async fn paint(self: Arc<Self>, channel: ChannelId) {
        loop {
            let Some(turn) = self.lock().next_turn(channel) else { return };
            match self.show_newest(turn).await {
                Shown::Settled => {}
                Shown::Later(until) => {
                    self.lock().again(channel, turn);
                    let pause = tokio::time::sleep_until(until.into());
                    if self.stop.run_until_cancelled(pause).await.is_none() {
                        return;
                    }
                }
            }
        }
    }

    async fn show_newest(&self, turn_id: TurnId) -> Shown {
        let cell = self.turns.cell(turn_id);
        let stand_back = Shown::Later(Instant::now() + STAND_BACK);
        if cell.is_urgent() {
            return stand_back;
        }
        let Ok(mut turn) = cell.turn.try_lock() else { return stand_back };
        if turn.load(turn_id, &self.records).await.is_none() {
            return Shown::Settled;
        }
        let Some(draft) = self.lock().newest.get(&turn_id).cloned() else { return Shown::Settled };
        self.show(&draft, &mut turn).await
    }

    async fn show(&self, draft: &Draft, turn: &mut Turn) -> Shown {
        let Some(record) = turn.record.as_ref() else { return Shown::Settled };
        let open = record.takes_draft(draft.generation, draft.revision) && !turn.undraftable;
        let (true, Some(channel), Some(message)) =
            (open, record.channel, record.messages.first().copied())
        else {
            self.settle(draft, "not_open");
            return Shown::Settled;
        };
        let text = render::first_part(&draft.text);
        if turn.shown.as_ref() == Some(&text) {
            self.settle(draft, "same");
            return Shown::Settled;
        }
        let now = Instant::now();
        let ready_at = self.governor.ready_at(channel, now);
        if ready_at > now {
            return Shown::Later(ready_at);
        }
        let call = Call::edit_message(channel, message, &text);
        let answer = self.rest.send_if_free(&call).await;
        let now = Instant::now();
        self.governor.edited(channel, self.rest.pace(&call.limit), now);
        match answer {
            Ok(_) => {
                turn.shown = Some(text);
                if let Some(record) = turn.record.as_mut() {
                    record.revision = draft.revision;
                }
                self.settle(draft, "shown");
                Shown::Settled
            }
            Err(Failure::Limited(until) | Failure::Unauthorized(until)) => {
                self.governor.hold_until(channel, until, now);
                Shown::Later(until)
            }
            Err(Failure::Rejected(rejection)) => {
                tracing::info!(
                    turn.id = draft.turn.0,
                    status = rejection.status,
                    "a draft was refused"
                );
                turn.undraftable = true;
                self.settle(draft, "refused");
                Shown::Settled
            }
            Err(failure) => {
                turn.unsure |= matches!(failure, Failure::Unsure(_));
                turn.shown = None;
                self.settle(draft, "failed");
                Shown::Settled
            }
        }
    }

    /// Takes a draft off the list, unless a newer one took its place meanwhile.
    fn settle(&self, draft: &Draft, fate: &'static str) {
        metrics::counter!("gateway_drafts_total", "fate" => fate).increment(1);
        let mut waiting = self.lock();
        let is_newest = waiting.newest.get(&draft.turn).is_some_and(|newest| {
            (newest.generation, newest.revision) <= (draft.generation, draft.revision)
        });
        if is_newest {
            waiting.newest.remove(&draft.turn);
        } else {
            let channel = draft.place.target();
            waiting.again(channel, draft.turn);
        }
    }

    /// Shows that we are typing, while the turn has no message yet.
    async fn show_typing(self: Arc<Self>, draft: Draft) {
        let cell = self.turns.cell(draft.turn);
        let channel = {
            if cell.is_urgent() {
                return;
            }
            let Ok(mut turn) = cell.turn.try_lock() else { return };
            let Some(record) = turn.load(draft.turn, &self.records).await else { return };
            if record.phase != Phase::New {
                return;
            }
            record.channel.unwrap_or(draft.place.channel_id)
        };
        if !self.lock().may_type(channel, Instant::now()) {
            return;
        }
        if let Err(failure) = self.rest.send_if_free(&Call::typing(channel)).await {
            tracing::debug!(channel.id = channel.0, error = %failure, "typing was not shown");
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    /// Keeps a draft if it is the newest of its turn. True: its channel needs a painter.
    fn put(&mut self, channel: ChannelId, draft: Draft) -> bool {
        let turn = draft.turn;
        if let Some(newest) = self.newest.get_mut(&turn) {
            if (newest.generation, newest.revision) < (draft.generation, draft.revision) {
                *newest = draft;
            }
            return false;
        }
        self.newest.insert(turn, draft);
        if let Some(turns) = self.channels.get_mut(&channel) {
            turns.push_back(turn);
            return false;
        }
        self.channels.insert(channel, VecDeque::from([turn]));
        true
    }

    /// The next turn to show in a channel. None: the channel's painter may go.
    fn next_turn(&mut self, channel: ChannelId) -> Option<TurnId> {
        let turn = self.channels.get_mut(&channel)?.pop_front();
        if turn.is_none() {
            self.channels.remove(&channel);
        }
        turn
    }

    /// Puts a turn at the end of its channel's row.
    fn again(&mut self, channel: ChannelId, turn: TurnId) {
        if let Some(turns) = self.channels.get_mut(&channel)
            && !turns.contains(&turn)
        {
            turns.push_back(turn);
        }
    }

    fn may_type(&mut self, channel: ChannelId, now: Instant) -> bool {
        if self.typed.len() >= TYPING_KEPT_MAX {
            self.typed.retain(|_, at| *at + TYPING_EVERY > now);
        }
        let due = self.typed.get(&channel).is_none_or(|at| *at + TYPING_EVERY <= now);
        if due {
            self.typed.insert(channel, now);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use contracts::command::Place;
    use contracts::id::MessageId;

    use super::*;

    fn draft(turn: u64, revision: u64) -> Draft {
        let place = Place {
            guild_id: None,
            channel_id: ChannelId(1),
            question: MessageId(turn),
            thread: None,
        };
        Draft { turn: TurnId(turn), generation: 0, revision, place, text: "text".to_owned() }
    }

    #[test]
    fn the_newest_draft_of_a_turn_wins_and_turns_take_turns() {
        let mut waiting = Waiting::default();
        assert!(waiting.put(ChannelId(1), draft(5, 1)));
        assert!(!waiting.put(ChannelId(1), draft(6, 1)));
        assert!(!waiting.put(ChannelId(1), draft(5, 3)));
        assert!(!waiting.put(ChannelId(1), draft(5, 2)));
        assert_eq!(waiting.newest[&TurnId(5)].revision, 3);
        assert_eq!(waiting.next_turn(ChannelId(1)), Some(TurnId(5)));
        waiting.again(ChannelId(1), TurnId(5));
        assert_eq!(waiting.next_turn(ChannelId(1)), Some(TurnId(6)));
        assert_eq!(waiting.next_turn(ChannelId(1)), Some(TurnId(5)));
        assert_eq!(waiting.next_turn(ChannelId(1)), None);
        assert!(waiting.channels.is_empty());
    }

    #[test]
    fn typing_is_shown_again_only_after_a_while() {
        let mut waiting = Waiting::default();
        let now = Instant::now();
        assert!(waiting.may_type(ChannelId(1), now));
        assert!(!waiting.may_type(ChannelId(1), now + Duration::from_secs(1)));
        assert!(waiting.may_type(ChannelId(2), now));
        assert!(waiting.may_type(ChannelId(1), now + TYPING_EVERY));
    }
}
