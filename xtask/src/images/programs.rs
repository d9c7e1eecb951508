//! The static binaries that images are made of, built by this machine's own toolchain.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::context;
use crate::external;
use crate::fault::Usage;
use crate::say;
use crate::suite;
use crate::surroundings;

/// Our programs that live in images.
pub(crate) const PROGRAMS: [&str; 5] =
    ["gateway", "conversation-worker", "backup-agent", "simulator", "prepare"];
/// What cargo tells the program it runs, which is us. Some build scripts ask for their own, and
/// would run again with all that follows whenever we were started in another way.
const OF_THIS_PROGRAM: [&str; 8] = [
    "CARGO_MANIFEST_DIR",
    "CARGO_MANIFEST_PATH",
    "CARGO_PKG_NAME",
    "CARGO_PKG_VERSION",
    "CARGO_PKG_VERSION_MAJOR",
    "CARGO_PKG_VERSION_MINOR",
    "CARGO_PKG_VERSION_PATCH",
    "CARGO_PKG_VERSION_PRE",
];
/// Between the parts of `CARGO_ENCODED_RUSTFLAGS`, as cargo wants it.
const SEPARATOR: &str = "\u{1f}";

/// How much work the compiler puts into them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Profile {
    /// What is released: small, with link-time optimisation.
    Small,
    /// What `cargo xtask containers` runs: the same code, built faster.
    Quick,
}

impl Profile {
    fn name(self) -> &'static str {
        match self {
            Self::Small => "image",
            Self::Quick => "image-quick",
        }
    }
}

/// Builds all of them and gives their files; into a target folder of their own when one is given.
pub(super) fn build(
    workspace: &Path,
    profile: Profile,
    target: Option<&Path>,
) -> Result<Vec<PathBuf>> {
    let triple = host_triple(workspace)?;
    let target = match target {
        Some(folder) => folder.to_owned(),
        None => suite::target_folder(workspace)?,
    };
    say::aside("building the programs for the images; the first time takes some minutes");
    let mut cargo = Command::new("cargo");
    cargo.current_dir(workspace).args(["build", "--bins", "--profile", profile.name()]);
    // Named even where it is this machine's own, so that build scripts are not made static too.
    cargo.args(["--target", &triple]).arg("--target-dir").arg(&target);
    for program in PROGRAMS {
        cargo.args(["--package", program]);
    }
    let prefixes = prefixes(workspace)?;
    let mut flags = vec!["-Ctarget-feature=+crt-static".to_owned()];
    flags.extend(prefixes.iter().map(|(from, to)| format!("--remap-path-prefix={from}={to}")));
    cargo.env("CARGO_ENCODED_RUSTFLAGS", flags.join(SEPARATOR));
    let c: Vec<String> =
        prefixes.iter().map(|(from, to)| format!("-ffile-prefix-map={from}={to}")).collect();
    cargo.env(format!("CFLAGS_{}", triple.replace('-', "_")), c.join(" "));
    if profile == Profile::Small {
        // Left out of the quick build, which would else begin anew with every commit.
        cargo.env("KOTONOHA_GIT_SHA", context::commit(workspace)?.id);
    }
    for name in OF_THIS_PROGRAM {
        cargo.env_remove(name);
    }
    external::show(&mut cargo)?;
    let folder = target.join(&triple).join(profile.name());
    let programs: Vec<PathBuf> = PROGRAMS.iter().map(|name| folder.join(name)).collect();
    for program in &programs {
        let bytes =
            std::fs::read(program).with_context(|| format!("read {}", program.display()))?;
        ensure!(is_static(&bytes), "link {} statically: it asks for a loader", program.display());
    }
    Ok(programs)
}

/// Paths of this machine that must not be found in a binary, and what stands there instead.
fn prefixes(workspace: &Path) -> Result<[(String, &'static str); 2]> {
    let cargo = surroundings::variable("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| surroundings::variable("HOME").map(|home| Path::new(&home).join(".cargo")))
        .context("find cargo's folder: set HOME or CARGO_HOME")?;
    Ok([(workspace.display().to_string(), "/kotonoha"), (cargo.display().to_string(), "/cargo")])
}

fn host_triple(workspace: &Path) -> Result<String> {
    let mut rustc = Command::new("rustc");
    let said = external::quiet(rustc.current_dir(workspace).arg("-vV"))?;
    let triple = said.lines().find_map(|line| line.strip_prefix("host: "));
    let triple = triple.context("read which system rustc builds for")?;
    if !triple.ends_with("-linux-gnu") {
        return Err(Usage(format!(
            "images are built on Linux with glibc, and this is {triple}: use such a machine"
        ))
        .into());
    }
    Ok(triple.to_owned())
}

/// Whether an ELF file runs without a loader: it has no program header of the kind `PT_INTERP`.
///
/// Source: the ELF-64 object file format, "Program header".
pub(super) fn is_static(file: &[u8]) -> bool {
    const PT_INTERP: u32 = 3;
    let word = |at: usize| {
        let bytes = file.get(at..at + 2)?;
        Some(usize::from(u16::from_le_bytes([bytes[0], bytes[1]])))
    };
    let long = |at: usize| {
        let bytes: [u8; 8] = file.get(at..at + 8)?.try_into().ok()?;
        usize::try_from(u64::from_le_bytes(bytes)).ok()
    };
    let kind = |at: usize| {
        let bytes: [u8; 4] = file.get(at..at + 4)?.try_into().ok()?;
        Some(u32::from_le_bytes(bytes))
    };
    let headers = || Some((long(0x20)?, word(0x36)?, word(0x38)?));
    let Some((start, size, count)) = headers().filter(|_| file.starts_with(b"\x7fELF\x02\x01"))
    else {
        return false;
    };
    (0..count).all(|number| kind(start + number * size).is_some_and(|kind| kind != PT_INTERP))
}

#[cfg(test)]
mod tests {
    use super::is_static;

    /// A header with one program header of a kind.
    fn elf(kind: u32) -> Vec<u8> {
        let mut file = vec![0; 0x40 + 0x38];
        file[..6].copy_from_slice(b"\x7fELF\x02\x01");
        file[0x20] = 0x40;
        file[0x36] = 0x38;
        file[0x38] = 1;
        file[0x40..0x44].copy_from_slice(&kind.to_le_bytes());
        file
    }

    #[test]
    fn a_program_that_asks_for_a_loader_is_not_static() {
        assert!(is_static(&elf(1)));
        assert!(!is_static(&elf(3)));
    }

    #[test]
    fn what_is_no_program_is_not_static() {
        assert!(!is_static(b"#!/bin/sh\n"));
        assert!(!is_static(&elf(1)[..0x42]));
        assert!(!is_static(b""));
    }

    #[test]
    fn this_test_itself_asks_for_a_loader() {
        let own = std::fs::read("/proc/self/exe").unwrap();
        assert!(!is_static(&own));
    }
}
