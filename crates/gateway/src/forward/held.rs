//! How much is held for the bus, and whether that is more than memory allows.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{Notify, watch};

/// What is held, counted.
#[derive(Debug)]
pub(super) struct Held {
    bytes: AtomicUsize,
    parcels: AtomicUsize,
    bytes_max: usize,
    pressure: watch::Sender<bool>,
    emptied: Notify,
}

impl Held {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self {
            bytes: AtomicUsize::new(0),
            parcels: AtomicUsize::new(0),
            bytes_max,
            pressure: watch::Sender::new(false),
            emptied: Notify::new(),
        }
    }

    /// Notes a parcel of so many bytes.
    pub(super) fn hold(&self, bytes: usize) {
        self.parcels.fetch_add(1, Ordering::SeqCst);
        let held = self.bytes.fetch_add(bytes, Ordering::SeqCst) + bytes;
        if held > self.bytes_max {
            self.set_pressure(true);
        }
    }

    /// Notes that such a parcel is no longer held.
    pub(super) fn release(&self, bytes: usize) {
        let held = self.bytes.fetch_sub(bytes, Ordering::SeqCst) - bytes;
        // Well below the limit again: the bus takes what it is given.
        if held <= self.bytes_max / 4 && *self.pressure.borrow() {
            self.set_pressure(false);
        }
        if self.parcels.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.emptied.notify_waiters();
        }
    }

    /// How many bytes are held.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::SeqCst)
    }

    /// True while more is held than memory allows, until it is well below.
    pub(super) fn pressure(&self) -> watch::Receiver<bool> {
        self.pressure.subscribe()
    }

    /// Waits until nothing is held.
    pub(super) async fn emptied(&self) {
        loop {
            let emptied = self.emptied.notified();
            if self.parcels.load(Ordering::SeqCst) == 0 {
                return;
            }
            emptied.await;
        }
    }

    fn set_pressure(&self, wanted: bool) {
        self.pressure.send_if_modified(|pressure| {
            let changed = *pressure != wanted;
            *pressure = wanted;
            changed
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn pressure_rises_above_the_limit_and_falls_well_below_it() {
        let held = Held::new(100);
        let pressure = held.pressure();
        held.hold(60);
        assert!(!*pressure.borrow());
        held.hold(50);
        assert!(*pressure.borrow());
        held.release(60);
        assert!(*pressure.borrow(), "half of the limit is still much");
        held.hold(20);
        held.release(50);
        assert!(!*pressure.borrow());
        assert_eq!(held.bytes(), 20);
        held.release(20);
        held.emptied().await;
    }
}
