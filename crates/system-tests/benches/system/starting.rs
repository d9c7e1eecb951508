//! (d) From exec to ready.

use system_tests::{House, Options, Service};

use crate::Scope;
use crate::figures::{Aim, Figure, Samples, Section};

const AIM_MS: f64 = 200.0;

/// Starts each service again and again.
pub(crate) async fn measure(scope: &Scope) -> anyhow::Result<Section> {
    scope.say("(d) from exec to ready");
    let mut section = Section::new("d", "From exec to ready");
    let mut house = House::build(Options::default()).await?;
    let times = scope.sized(10, 5);
    let first = [house.gateway.start_timed().await?, house.worker.start_timed().await?];
    // The worker first: it is ready only while the gateway is.
    let worker = again(&mut house.worker, times).await?;
    let gateway = again(&mut house.gateway, times).await?;
    let again = [gateway, worker];
    for ((name, first), again) in
        ["gateway", "conversation-worker"].into_iter().zip(first).zip(again)
    {
        let first_ms = first.as_secs_f64() * 1e3;
        section.add(Figure::new(format!("{name}, the very first time"), first_ms, "ms"));
        section.add(
            Figure::new(format!("{name}, median of {times} restarts"), again.median(), "ms")
                .aim(Aim::AtMost(AIM_MS)),
        );
        section.add(Figure::new(format!("{name}, slowest restart"), again.max(), "ms"));
    }
    section.remark(
        "From before the process is made until `/health/ready` answers 200, looked at every \
         millisecond, with nats-server and the simulator running. The first time includes making \
         streams, buckets and tables, and a login; a restart resumes the session.",
    );
    Ok(section)
}

async fn again(service: &mut Service, times: usize) -> anyhow::Result<Samples> {
    let mut samples = Samples::default();
    for _ in 0..times {
        service.stop().await?;
        samples.push(service.start_timed().await?.as_secs_f64() * 1e3);
    }
    Ok(samples)
}
