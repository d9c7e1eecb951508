//! Counts invalid requests, and stops sending long before Discord would ban the address.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Over which time Discord counts. Source: its reference, "Invalid Request Limit".
const WINDOW: Duration = Duration::from_mins(10);
/// How finely the count forgets.
const SLOT: Duration = Duration::from_secs(10);

/// The count of invalid requests (401, 403, and 429 unless shared) over ten minutes.
#[derive(Debug)]
pub(crate) struct Breaker {
    invalid_max: u32,
    slots: VecDeque<(Instant, u32)>,
}

impl Breaker {
    /// Opens after `invalid_max` invalid requests.
    pub(crate) fn new(invalid_max: u32) -> Self {
        Self { invalid_max, slots: VecDeque::new() }
    }

    /// Counts one invalid request.
    pub(crate) fn count(&mut self, now: Instant) {
        self.forget(now);
        match self.slots.back_mut() {
            Some((begin, count)) if now < *begin + SLOT => *count += 1,
            _ => self.slots.push_back((now, 1)),
        }
    }

    /// Until when nothing may be sent; none = go on.
    pub(crate) fn open_until(&mut self, now: Instant) -> Option<Instant> {
        self.forget(now);
        let mut total: u32 = self.slots.iter().map(|(_, count)| count).sum();
        if total < self.invalid_max {
            return None;
        }
        // Open until half of the allowance is free again, so that it does not flutter.
        for (begin, count) in &self.slots {
            total -= count;
            if total < self.invalid_max / 2 {
                return Some(*begin + WINDOW);
            }
        }
        None
    }

    fn forget(&mut self, now: Instant) {
        while self.slots.front().is_some_and(|(begin, _)| *begin + WINDOW <= now) {
            self.slots.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_opens_well_below_the_ban_and_closes_as_time_passes() {
        let start = Instant::now();
        let mut breaker = Breaker::new(1_000);
        for number in 0..1_000_u32 {
            assert_eq!(breaker.open_until(start), None, "after {number}");
            breaker.count(start + Duration::from_millis(u64::from(number) * 100));
        }
        let now = start + Duration::from_secs(100);
        let until = breaker.open_until(now).expect("open");
        assert!(until > start + Duration::from_mins(10) && until < now + Duration::from_mins(10));
        assert_eq!(breaker.open_until(until), None);
    }
}
