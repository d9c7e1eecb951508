//! What shall go wrong, for which requests, and how often.

use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

/// Which side of the simulator a fault strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// Discord's REST API.
    Rest,
    /// The model providers.
    Model,
    /// Frames from gateway clients.
    Gateway,
}

/// How a request fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// Answered with `status` and without effect.
    Status,
    /// Answered as usual after `delay_ms`.
    Delay,
    /// The connection breaks before anything happened.
    DropBefore,
    /// The effect happens, and the connection breaks before the answer.
    DropAfter,
    /// 429 of one route's bucket.
    RateLimitRoute,
    /// 429 of a resource shared with others; does not count as an invalid request.
    RateLimitShared,
    /// 429 of the global limit.
    RateLimitGlobal,
    /// 429 from in front of the API: HTML, and no rate-limit headers.
    RateLimitHeaderless,
}

fn once() -> u32 {
    1
}

/// One fault, as `POST /control/faults` takes it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// Which side is struck.
    pub target: Target,
    /// A substring of the path, or `METHOD /path` with `{…}` for one segment; all when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    /// How it fails.
    pub kind: FaultKind,
    /// The status for [`FaultKind::Status`]; 500 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// How long the request is held first, whatever the kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay_ms: Option<u64>,
    /// What a 429 tells the client to wait; 1000 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// How many requests are struck; 0 until cleared.
    #[serde(default = "once")]
    pub count: u32,
}

impl Fault {
    /// Refuses a fault that could never strike as it says; the error says what to do.
    pub fn check(&self) -> Result<(), &'static str> {
        let breaks =
            matches!(self.kind, FaultKind::Delay | FaultKind::DropBefore | FaultKind::DropAfter);
        if self.target == Target::Gateway && !breaks {
            return Err("use delay, drop_before or drop_after for the gateway");
        }
        if self.kind == FaultKind::Delay && self.delay_ms.is_none() {
            return Err("give delay_ms for a delay");
        }
        if self.status.is_some_and(|status| !(200..600).contains(&status)) {
            return Err("use a status from 200 to 599");
        }
        Ok(())
    }

    fn strikes(&self, target: Target, method: &str, path: &str) -> bool {
        if self.target != target {
            return false;
        }
        let Some(route) = &self.route else { return true };
        match route.split_once(' ') {
            Some((wanted_method, template)) => {
                wanted_method == method && template_matches(template, path)
            }
            None => path.contains(route.as_str()),
        }
    }
}

/// Whether `path` has the shape of `template`; a segment in braces stands for any one segment,
/// and a version prefix of the path (`/api/v10`) may be left out of the template.
fn template_matches(template: &str, path: &str) -> bool {
    let wanted: Vec<&str> = template.split('/').filter(|part| !part.is_empty()).collect();
    let mut given: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    if given.len() > wanted.len() && given[0] == "api" {
        let version = given.get(1).is_some_and(|part| part.starts_with('v'));
        given.drain(..if version { 2 } else { 1 });
    }
    wanted.len() == given.len()
        && wanted.iter().zip(&given).all(|(want, have)| want.starts_with('{') || want == have)
}

/// The faults that are waiting to strike.
#[derive(Default)]
pub struct Faults {
    list: Mutex<Vec<Fault>>,
}

impl Faults {
    /// Adds a fault behind those that wait already.
    pub fn add(&self, fault: Fault) {
        self.lock().push(fault);
    }

    /// Forgets all faults.
    pub fn clear(&self) {
        self.lock().clear();
    }

    /// The faults that still wait.
    pub fn list(&self) -> Vec<Fault> {
        self.lock().clone()
    }

    /// Takes the oldest fault that strikes this request, counting it down. `path` is the
    /// request's path without query. The caller honours `delay_ms` first, then `kind`.
    pub fn take(&self, target: Target, method: &str, path: &str) -> Option<Fault> {
        let mut list = self.lock();
        let index = list.iter().position(|fault| fault.strikes(target, method, path))?;
        let fault = list[index].clone();
        match fault.count {
            0 => {}
            1 => {
                list.remove(index);
            }
            more => list[index].count = more - 1,
        }
        Some(fault)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Fault>> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(route: &str, count: u32) -> Fault {
        Fault {
            target: Target::Rest,
            route: Some(route.into()),
            kind: FaultKind::Status,
            status: None,
            delay_ms: None,
            retry_after_ms: None,
            count,
        }
    }

    #[test]
    fn a_counted_fault_strikes_exactly_that_often() {
        let faults = Faults::default();
        faults.add(fault("/messages", 2));
        let path = "/api/v10/channels/1/messages";
        assert!(faults.take(Target::Model, "POST", path).is_none());
        assert!(faults.take(Target::Rest, "POST", path).is_some());
        assert!(faults.take(Target::Rest, "POST", path).is_some());
        assert!(faults.take(Target::Rest, "POST", path).is_none());
    }

    #[test]
    fn a_template_names_the_method_and_every_segment() {
        let faults = Faults::default();
        faults.add(fault("POST /channels/{channel}/messages", 0));
        let path = "/api/v10/channels/1/messages";
        assert!(faults.take(Target::Rest, "GET", path).is_none());
        assert!(faults.take(Target::Rest, "POST", "/api/v10/channels/1/messages/2").is_none());
        assert!(faults.take(Target::Rest, "POST", path).is_some());
        assert!(faults.take(Target::Rest, "POST", path).is_some());
    }
}
