//! A model of everything that happens around a log, in an order that a seed gives: after every
//! look the history brings back exactly what is live, at every transaction.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use replica::Follower;
use replica::disk::{Disk, Step};
use replica::follow::Looked;
use rusqlite::Connection;

use super::live::{Live, image};

const STEPS: usize = 260;

struct World {
    live: Live,
    random: StdRng,
    follower: Option<Follower>,
    /// A second service with the database open, and one that reads for long.
    second: Option<Connection>,
    reader: Option<Connection>,
    /// How many steps on disk go well before one does not, and all after it; negative for ever.
    steps_left: Arc<AtomicI64>,
    /// Whether something has happened since the last look that excuses a gap.
    excused: bool,
    gaps: u64,
    done: BTreeMap<&'static str, u32>,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let mut live = Live::new(1 << random.random_range(9..=13));
        let steps_left = Arc::new(AtomicI64::new(-1));
        let left = Arc::clone(&steps_left);
        live.disk = Disk::rehearsing(move |step, _| {
            let before = left.load(Ordering::Relaxed);
            if before < 0 || step == Step::Remove {
                return Ok(());
            }
            if before == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            left.store(before - 1, Ordering::Relaxed);
            Ok(())
        });
        let follower = Some(live.follow());
        Self {
            live,
            random,
            follower,
            second: None,
            reader: None,
            steps_left,
            excused: true,
            gaps: 0,
            done: BTreeMap::new(),
        }
    }

    fn step(&mut self) {
        let name = match self.random.random_range(0..100) {
            0..28 => self.write(),
            28..32 => self.shrink(),
            32..42 => self.checkpoint(),
            42..47 => self.read_for_long(),
            47..50 => self.second_writer(),
            50..52 => self.autocheckpoint(),
            52..54 => self.ghost(),
            54..74 => self.look(),
            74..82 => self.seal(),
            82..86 => self.restart(),
            86..91 => self.trouble(),
            91..93 => self.scan(),
            93..95 => self.audit(),
            95..97 => self.restart_service(),
            _ => self.write_much(),
        };
        *self.done.entry(name).or_default() += 1;
    }

    fn write(&mut self) -> &'static str {
        let rows = self.random.random_range(1..12);
        match &self.second {
            Some(second) if self.random.random_bool(0.5) => {
                second.execute("UPDATE notes SET text = hex(randomblob(40))", []).unwrap();
            }
            _ => self.live.write(rows),
        }
        "write"
    }

    fn write_much(&mut self) -> &'static str {
        self.live.write(400);
        self.live.run(
            "BEGIN; INSERT INTO words (text) SELECT hex(randomblob(600)) FROM words_of_use; \
             DELETE FROM words WHERE length(text) > 1100; COMMIT",
        );
        "write much"
    }

    fn shrink(&mut self) -> &'static str {
        self.live.run("DELETE FROM words WHERE id % 2 = 0");
        // A reader of somebody else stands in the way of nothing but this.
        if self.random.random_bool(0.5) {
            self.live.run("VACUUM");
        }
        "shrink"
    }

    fn checkpoint(&mut self) -> &'static str {
        let modes = ["PASSIVE", "FULL", "RESTART", "TRUNCATE"];
        self.live.checkpoint(modes[self.random.random_range(0..4)]);
        "checkpoint"
    }

    fn read_for_long(&mut self) -> &'static str {
        if self.reader.take().is_none() {
            let reader = self.live.connect();
            reader.execute_batch("BEGIN; SELECT count(*) FROM words").unwrap();
            self.reader = Some(reader);
        }
        "read for long"
    }

    fn second_writer(&mut self) -> &'static str {
        self.second = match self.second.take() {
            Some(_) => None,
            None => Some(self.live.connect()),
        };
        "second writer"
    }

    fn autocheckpoint(&mut self) -> &'static str {
        let pages = [0, 3, 40, 1000][self.random.random_range(0..4)];
        self.live.run(&format!("PRAGMA wal_autocheckpoint = {pages}"));
        "autocheckpoint"
    }

    /// Only where the log's newest frames are those that SQLite counts.
    fn ghost(&mut self) -> &'static str {
        self.live.write(1);
        self.live.write_ghost();
        // While the ghost is the end of the log nobody may close last, or it would come alive.
        self.look();
        self.live.write(1);
        "ghost"
    }

    fn look(&mut self) -> &'static str {
        let follower = self.follower.as_mut().unwrap();
        let looked = follower.look().unwrap();
        let status = follower.status();
        let now = image(&self.live.writer);
        let point = (status.timeline, status.txid);
        if !matches!(looked, Looked::Shipped(_))
            && let Some(before) = self.live.images.get(&point)
        {
            assert!(*before == now, "something was written and not shipped");
        }
        self.live.images.insert(point, now);
        assert!(status.gaps == self.gaps || self.excused, "a gap: {:?}", status.last_gap);
        self.gaps = status.gaps;
        self.excused = false;
        "look"
    }

    fn seal(&mut self) -> &'static str {
        self.follower.as_mut().unwrap().seal().unwrap();
        self.look();
        "seal"
    }

    fn restart(&mut self) -> &'static str {
        let follower = self.follower.take().unwrap();
        if self.random.random_bool(0.3) {
            follower.stop();
            self.remember_stopped();
        } else {
            drop(follower);
        }
        for _ in 0..self.random.random_range(0..3) {
            self.write();
            self.checkpoint();
        }
        self.open();
        "restart"
    }

    /// What a follower shipped as it stopped is the point that it reached.
    fn remember_stopped(&mut self) {
        let follower = self.live.follow();
        self.live.remember(&follower);
    }

    fn open(&mut self) {
        self.follower = Some(self.live.follow());
        self.gaps = 0;
        self.excused = true;
        self.look();
    }

    /// A step on disk fails, and all after it, as on a full disk or in a process that dies.
    fn trouble(&mut self) -> &'static str {
        let steps = self.random.random_range(0..9);
        self.steps_left.store(steps, Ordering::Relaxed);
        let dies = self.random.random_bool(0.6);
        for _ in 0..4 {
            self.write();
            if self.random.random_bool(0.5) {
                self.checkpoint();
            }
            let follower = self.follower.as_mut().unwrap();
            if follower.look().is_ok() {
                let follower = self.follower.as_ref().unwrap();
                self.live.remember(follower);
            }
            let follower = self.follower.as_mut().unwrap();
            if self.random.random_bool(0.5) && follower.seal().is_ok() {
                // Sealing ships: what is there now is what was shipped.
                let follower = self.follower.as_ref().unwrap();
                self.live.remember(follower);
            }
        }
        self.steps_left.store(-1, Ordering::Relaxed);
        if dies {
            drop(self.follower.take());
            self.open();
            return "death at a step";
        }
        self.look();
        "full disk"
    }

    fn scan(&mut self) -> &'static str {
        let scan = self.follower.as_mut().unwrap().scan().unwrap();
        let follower = self.follower.as_ref().unwrap();
        self.live.remember(follower);
        self.write();
        let full = scan.full().unwrap();
        assert!(full.differing.is_empty(), "{:?}", full.differing);
        self.look();
        "full"
    }

    fn audit(&mut self) -> &'static str {
        let scan = self.follower.as_mut().unwrap().scan().unwrap();
        let follower = self.follower.as_ref().unwrap();
        self.live.remember(follower);
        let audit = scan.audit().unwrap();
        assert!(audit.is_well(), "{audit:?}");
        "audit"
    }

    /// The service closes and opens again, last of all or beside the follower.
    fn restart_service(&mut self) -> &'static str {
        let alone = self.random.random_bool(0.5);
        if alone {
            drop(self.follower.take());
        }
        (self.second, self.reader) = (None, None);
        self.live.writer = Connection::open_in_memory().unwrap();
        self.live.writer = self.live.connect();
        if alone {
            self.open();
        }
        "restart of the service"
    }
}

/// What was done, and how often.
fn run(seed: u64) -> BTreeMap<&'static str, u32> {
    let mut world = World::new(seed);
    world.look();
    for _ in 0..STEPS {
        world.step();
    }
    world.look();
    let follower = world.follower.as_ref().unwrap();
    world.live.check_all(follower);
    world.done
}

#[test]
fn whatever_happens_around_the_log_every_transaction_comes_back_as_it_was() {
    // And one that nobody has seen before; what is printed is shown where it fails.
    for seed in [0, 1, 2, rand::random()] {
        println!("seed {seed}");
        println!("{:?}", run(seed));
    }
}
