//! What every container must look like from outside: rights, limits, ports, health.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::project::Container;
use super::tree;

/// What all services of a profile may use together: 416 MiB by day, and what the backup agent's
/// one heavy job may take at night.
const MEMORY_BYTES: u64 = 672 * 1024 * 1024;
/// The one service that is root, without a network, and ends at once.
const ROOT: &str = "prepare";
/// All that it may do as root.
const ROOT_RIGHTS: [&str; 3] = ["CHOWN", "DAC_OVERRIDE", "FOWNER"];

type Claim = (&'static str, fn(&[Container]) -> Result<()>);

/// The claims about one profile's containers, by name.
pub(super) const CLAIMS: [Claim; 6] = [
    ("every_container_is_healthy_by_its_own_check", healthy),
    ("no_container_is_root_but_the_one_that_prepares", not_root),
    ("no_process_has_a_capability_or_can_gain_one", without_capabilities),
    ("every_root_file_system_is_read_only", read_only),
    ("memory_processes_and_logs_have_limits", limited),
    ("no_kernel_feature_is_asked_for_that_a_nas_lacks", modest),
];

fn of<'a>(container: &'a Container, section: &str, key: &str) -> &'a Value {
    &container.facts[section][key]
}

fn is_root(container: &Container) -> bool {
    container.service == ROOT || container.service.ends_with("-prepare")
}

fn healthy(all: &[Container]) -> Result<()> {
    ensure!(all.len() >= 5, "see every container: there are {}", all.len());
    for it in all {
        ensure!(it.is_well(), "see {} well: {}", it.service, it.facts["State"]);
    }
    Ok(())
}

fn not_root(all: &[Container]) -> Result<()> {
    for it in all {
        let user = of(it, "Config", "User");
        if is_root(it) {
            ensure!(of(it, "HostConfig", "NetworkMode") == "none", "keep {} offline", it.service);
            ensure!(it.is_errand() && !it.is_running(), "see {} end at once", it.service);
            continue;
        }
        ensure!(user == "1000:1000", "run {} as 1000:1000, not {user}", it.service);
        if let Some(pid) = it.pid() {
            let status = status(pid)?;
            for key in ["Uid:", "Gid:"] {
                let ids = tree::field(&status, key).unwrap_or_default();
                let fine = ids.split_whitespace().all(|id| id == "1000");
                ensure!(fine, "see {} as 1000: {key} {ids}", it.service);
            }
        }
    }
    Ok(())
}

fn without_capabilities(all: &[Container]) -> Result<()> {
    for it in all {
        ensure!(of(it, "HostConfig", "CapDrop")[0] == "ALL", "drop all rights of {}", it.service);
        ensure!(of(it, "HostConfig", "Privileged") == false, "{} is privileged", it.service);
        let added = of(it, "HostConfig", "CapAdd").as_array().cloned().unwrap_or_default();
        let added: BTreeSet<String> = added
            .iter()
            .filter_map(|right| Some(right.as_str()?.trim_start_matches("CAP_").to_owned()))
            .collect();
        let allowed: BTreeSet<String> =
            if is_root(it) { ROOT_RIGHTS.map(str::to_owned).into() } else { BTreeSet::new() };
        ensure!(added == allowed, "give {} no right but {allowed:?}: {added:?}", it.service);
        let Some(pid) = it.pid() else { continue };
        let status = status(pid)?;
        for key in ["CapEff:", "CapPrm:", "CapBnd:", "CapInh:", "CapAmb:"] {
            let set = tree::field(&status, key).unwrap_or_default();
            ensure!(set.chars().all(|digit| digit == '0'), "{}: {key} {set}", it.service);
        }
        let locked = tree::field(&status, "NoNewPrivs:");
        ensure!(locked == Some("1"), "let {} gain no privileges: {locked:?}", it.service);
    }
    Ok(())
}

fn read_only(all: &[Container]) -> Result<()> {
    for it in all {
        let read_only = of(it, "HostConfig", "ReadonlyRootfs") == true;
        ensure!(read_only, "keep {}'s root file system read-only", it.service);
    }
    Ok(())
}

fn limited(all: &[Container]) -> Result<()> {
    let mut sum = 0;
    for it in all {
        let memory = of(it, "HostConfig", "Memory").as_u64().unwrap_or(0);
        ensure!(memory > 0, "limit the memory of {}", it.service);
        // What plays Discord is no part of what runs on a NAS.
        sum += if it.service == "simulator" { 0 } else { memory };
        let processes = of(it, "HostConfig", "PidsLimit").as_i64().unwrap_or(0);
        ensure!(processes > 0, "limit the processes of {}", it.service);
        let logs = of(it, "HostConfig", "LogConfig");
        let fine = logs["Type"] == "json-file"
            && logs["Config"]["max-size"] == "10m"
            && logs["Config"]["max-file"] == "3";
        ensure!(fine, "limit the logs of {}: {logs}", it.service);
        let restart = of(it, "HostConfig", "RestartPolicy")["Name"].as_str().unwrap_or_default();
        ensure!(
            restart == "unless-stopped" || it.is_errand(),
            "start {} again whatever happens: {restart}",
            it.service
        );
    }
    ensure!(sum <= MEMORY_BYTES, "stay within {MEMORY_BYTES} bytes of memory in all: {sum}");
    Ok(())
}

fn modest(all: &[Container]) -> Result<()> {
    for it in all {
        for key in ["NanoCpus", "CpuQuota", "CpuPeriod"] {
            let value = of(it, "HostConfig", key).as_i64().unwrap_or(0);
            ensure!(value == 0, "leave {key} of {} alone: {value}", it.service);
        }
    }
    Ok(())
}

/// Only these are published: container port, host address (empty = every one).
pub(super) fn expect_published(all: &[Container], expected: &[(&str, &str)]) -> Result<()> {
    let mut found = BTreeSet::new();
    for it in all {
        let bindings = of(it, "HostConfig", "PortBindings").as_object().cloned();
        for (port, places) in bindings.unwrap_or_default() {
            for place in places.as_array().into_iter().flatten() {
                let host = place["HostIp"].as_str().unwrap_or_default().to_owned();
                found.insert((port.clone(), host));
            }
        }
        ensure!(of(it, "HostConfig", "PublishAllPorts") == false, "{} publishes all", it.service);
        ensure!(of(it, "HostConfig", "NetworkMode") != "host", "{} is on the host", it.service);
    }
    let expected: BTreeSet<(String, String)> =
        expected.iter().map(|(port, host)| ((*port).to_owned(), (*host).to_owned())).collect();
    ensure!(found == expected, "publish {expected:?} and nothing else: {found:?}");
    Ok(())
}

fn status(pid: u32) -> Result<String> {
    std::fs::read_to_string(format!("/proc/{pid}/status"))
        .with_context(|| format!("look at process {pid}"))
}
