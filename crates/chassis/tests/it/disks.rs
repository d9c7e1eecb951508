//! Real file systems, mounted for as long as a test needs them.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// A mounted file system.
pub(crate) struct Disk {
    folder: TempDir,
    /// What lies beneath it, if anything.
    _image: Option<TempDir>,
}

impl Disk {
    /// One in memory with this size, or `None` where we may not mount, which is then said.
    pub(crate) fn memory(options: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        mounted(&["-t", "tmpfs", "-o", options, "tmpfs"], folder.path())
            .then_some(Self { folder, _image: None })
    }

    /// An ext4 in a file, mounted by a loop device.
    pub(crate) fn ext4() -> Option<Self> {
        let (folder, beneath) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let image = beneath.path().join("image");
        File::create(&image).unwrap().set_len(16 * 1024 * 1024).unwrap();
        let made = Command::new("mkfs.ext4").args(["-q", "-F"]).arg(&image).status();
        if !made.is_ok_and(|status| status.success()) {
            return skipped("an ext4 cannot be made here");
        }
        mounted(&["-o", "loop", image.to_str().unwrap()], folder.path())
            .then_some(Self { folder, _image: Some(beneath) })
    }

    /// A FUSE file system of this kind, such as `fuse.mergerfs`, played by a thread of this test:
    /// an empty folder that takes no files.
    pub(crate) fn fuse(kind: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let Ok(device) = File::options().read(true).write(true).open("/dev/fuse") else {
            return skipped("there is no /dev/fuse here");
        };
        let options =
            format!("fd={},rootmode=40000,user_id=0,group_id=0,allow_other", device.as_raw_fd());
        let options = std::ffi::CString::new(options).unwrap();
        let flags = rustix::mount::MountFlags::empty();
        if rustix::mount::mount("none", folder.path(), kind, flags, options.as_c_str()).is_err() {
            return skipped("FUSE cannot be mounted here");
        }
        std::thread::spawn(move || play_fuse(device));
        Some(Self { folder, _image: None })
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes until not one more byte fits.
    pub(crate) fn fill(&self) {
        let mut ballast = File::create(self.path().join("ballast")).unwrap();
        let mut piece = 64 * 1024;
        while piece > 0 {
            match ballast.write(&vec![0; piece]) {
                Ok(_written) => {}
                Err(_full) => piece /= 2,
            }
        }
    }

    /// Gives the space back.
    pub(crate) fn empty(&self) {
        std::fs::remove_file(self.path().join("ballast")).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazy: whoever still has a file open there keeps it until it ends.
        drop(Command::new("umount").arg("-l").arg(self.path()).status());
    }
}

fn mounted(arguments: &[&str], folder: &Path) -> bool {
    let mount = Command::new("mount").args(arguments).arg(folder).stderr(Stdio::null()).status();
    let mounted = mount.is_ok_and(|status| status.success());
    if !mounted {
        skipped::<()>("this user may not mount");
    }
    mounted
}

/// Says why a test looks at nothing.
#[expect(clippy::print_stdout, reason = "a test that looks at nothing says so")]
pub(crate) fn skipped<T>(why: &str) -> Option<T> {
    println!("skipped: {why}");
    None
}

/// Answers the kernel's questions as an empty folder would.
///
/// Source: Linux, `include/uapi/linux/fuse.h`, protocol 7.31.
fn play_fuse(mut device: File) {
    const GETATTR: u32 = 3;
    const STATFS: u32 = 17;
    const INIT: u32 = 26;
    const FORGETS: [u32; 2] = [2, 42];
    const ENOSYS: i32 = 38;
    let mut question = vec![0_u8; 256 * 1024];
    while let Ok(length) = device.read(&mut question) {
        let word = |at: usize| u32::from_ne_bytes(question[at..at + 4].try_into().unwrap());
        let opcode = word(4);
        if length < 40 || FORGETS.contains(&opcode) {
            continue;
        }
        let body = match opcode {
            INIT => init(),
            GETATTR => folder_attributes(),
            STATFS => vec![0; 80],
            _ => Vec::new(),
        };
        let error = if body.is_empty() { -ENOSYS } else { 0 };
        let mut answer = u32::try_from(16 + body.len()).unwrap().to_ne_bytes().to_vec();
        answer.extend(error.to_ne_bytes());
        answer.extend(&question[8..16]);
        answer.extend(body);
        if device.write_all(&answer).is_err() {
            return;
        }
    }
}

fn init() -> Vec<u8> {
    let (major, minor, read_ahead, flags, background) = (7_u32, 31_u32, 4096_u32, 0_u32, 0_u32);
    let (write_max, granularity, pages) = (4096_u32, 1_u32, 1_u32);
    let words = [major, minor, read_ahead, flags, background, write_max, granularity, pages];
    let mut body: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
    body.resize(64, 0);
    body
}

fn folder_attributes() -> Vec<u8> {
    // Valid for no time; then the attributes, of which number, mode and links are not zero.
    let mut body = vec![0; 16];
    body.extend(1_u64.to_ne_bytes());
    body.extend(vec![0; 5 * 8 + 3 * 4]);
    body.extend(0o040_777_u32.to_ne_bytes());
    body.extend(2_u32.to_ne_bytes());
    body.resize(16 + 88, 0);
    body
}
