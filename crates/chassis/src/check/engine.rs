//! Whether kernel and container engine are new enough, as far as a container can see them.
//!
//! The engine's and Compose's own versions cannot be seen from within a container; what they do
//! wrong when they are too old can: an engine before 20.10.10 refuses `clone3` with EPERM instead
//! of ENOSYS, and then no program built with a current C library can start a thread.

use std::io;

use super::Verdict;
use crate::words::Words;

/// The oldest kernel Docker Engine 20.10 supports.
const KERNEL_MIN: (u32, u32) = (3, 10);

/// The kernel's release as `uname -r` gives it.
pub fn kernel() -> String {
    rustix::system::uname().release().to_string_lossy().into_owned()
}

/// Whether we can work on a kernel of this release.
pub fn judge(kernel: &str) -> Verdict {
    match kernel_version(kernel) {
        Some(version) if version < KERNEL_MIN => Verdict::Unfit {
            problem: (
                format!("{kernel} is too old: 3.10 or later is needed"),
                format!("{kernel} は古すぎます。3.10 以降が必要です"),
            )
                .into(),
            remedy: (
                "update the NAS's system (DSM, QTS, TrueNAS) and its container package; Docker \
                 Engine 20.10.10 and Compose 2.20 are the oldest that work",
                "NAS のシステム(DSM・QTS・TrueNAS)とコンテナのパッケージを更新してください。\
                 Docker Engine 20.10.10 以降、Compose 2.20 以降が必要です",
            )
                .into(),
        },
        _ => Verdict::Fit,
    }
}

/// Problem and remedy where a thread could not be started; `None` where the engine is not to blame.
pub fn judge_thread(error: &io::Error, contained: bool) -> Option<(Words, Words)> {
    if !contained || error.kind() != io::ErrorKind::PermissionDenied {
        return None;
    }
    let problem = (
        "is too old: it refuses to let a program start a thread (clone3)",
        "が古すぎます。プログラムがスレッドを作れません(clone3)",
    );
    let remedy = (
        "update the container package of the NAS to Docker Engine 20.10.10 or later",
        "NAS のコンテナのパッケージを、Docker Engine 20.10.10 以降に更新してください",
    );
    Some((problem.into(), remedy.into()))
}

/// `4.4.302+` is (4, 4); `None` for what does not begin like a version.
fn kernel_version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|letter: char| !letter.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_of_nas_systems_in_use_are_taken_and_older_ones_named() {
        for kernel in ["3.10.108", "4.4.302+", "5.10.55+", "6.1.0-13-amd64", "6.6-rc1", "odd"] {
            assert_eq!(judge(kernel), Verdict::Fit, "{kernel}");
        }
        for kernel in ["3.2.40", "2.6.32"] {
            let Verdict::Unfit { problem, remedy } = judge(kernel) else { panic!("{kernel}") };
            assert!(problem.contains(kernel) && problem.contains("古すぎます"), "{problem}");
            assert!(remedy.contains("20.10.10"), "{remedy}");
        }
    }

    #[test]
    fn a_refused_thread_is_laid_to_the_engine_only_in_a_container() {
        let refused = io::Error::from(io::ErrorKind::PermissionDenied);
        assert!(judge_thread(&refused, true).is_some());
        assert!(judge_thread(&refused, false).is_none());
        let no_memory = io::Error::from(io::ErrorKind::OutOfMemory);
        assert!(judge_thread(&no_memory, true).is_none());
    }

    #[test]
    fn this_machine_can_be_looked_at() {
        assert_eq!(judge(&kernel()), Verdict::Fit, "{}", kernel());
    }
}
