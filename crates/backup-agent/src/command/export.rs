//! `export`: copies as plain files, for those whose habits or scripts want such.

use std::fs::{self, File};
use std::io::{self, BufWriter};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use chassis::{Answer, Command, Reader};
use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::Timestamp;
use replica::disk::Disk;
use replica::restore::{self, Check, Options};
use replica::tree::Tree;
use serde_json::json;
use snapshots::Class;

use super::plan::Wished;
use super::{Refusal, answer, config};
use crate::config::Config;
use crate::exports;
use crate::runner::Done;

/// `backup-agent export`.
pub(super) const COMMAND: Command = Command {
    name: "export",
    usage: "export [--at WHEN] [--database NAME] [--to FOLDER]       kotonoha_YYYYMMDD_HHMMSS.db\n\
            export --archive [--at WHEN] [--to FOLDER]            backup_YYYYMMDD_HHMMSS.tar.gz, with the logs\n\
            export --litestream FOLDER [--at WHEN]                a tree that stock litestream restores",
    run,
};

const KNOWN: [&str; 5] = ["--at=", "--database=", "--to=", "--archive", "--litestream="];

fn run(reader: &mut Reader, words: &[String]) -> Answer {
    answer(words, &KNOWN, |words| {
        words.no_more().map_err(Refusal::usage)?;
        let config = config(reader)?;
        let wished = Wished::read(&config, words)?;
        if let Some(folder) = words.value("--litestream=") {
            return litestream(&wished, Path::new(folder));
        }
        let folder = words.value("--to=").map_or(config.repository.clone(), PathBuf::from);
        let now = Timestamp::now().to_zoned(config.schedule.zone.clone());
        let file = if words.has("--archive") {
            let file = folder.join(exports::archive_name(&now));
            archive(&config, &wished, &file).map_err(Refusal::failed)?;
            file
        } else {
            let file = folder.join(exports::database_name(&now));
            image(&wished, &file)?;
            file
        };
        let bytes = fs::metadata(&file).map_or(0, |about| about.len());
        Ok(Done {
            lines: vec![format!("Backup completed: {}", file.display())],
            report: json!({ "file": file, "bytes": bytes, "txid": wished.plan.txid }),
        })
    })
}

fn image(wished: &Wished<'_>, file: &Path) -> Result<(), Refusal> {
    let options = Options { check: Check::Full, ..Options::default() };
    restore::to_file(&wished.plan, file, &options, &|_| ControlFlow::Continue(()))
        .map(drop)
        .map_err(Refusal::failed)
}

/// Database and folders in one packed file. Settings stay in the locked snapshots: this file is
/// plain.
fn archive(config: &Config, wished: &Wished<'_>, file: &Path) -> anyhow::Result<()> {
    use anyhow::Context as _;
    let folder = file.parent().unwrap_or(Path::new("."));
    let scratch = tempfile::Builder::new()
        .prefix(".export-")
        .tempdir_in(folder)
        .with_context(|| format!("make a folder in {}", folder.display()))?;
    let name = wished.database.path.file_name().unwrap_or("database.db".as_ref());
    let database = scratch.path().join(name);
    image(wished, &database).map_err(|refusal| anyhow::anyhow!(refusal.words))?;
    let packed = scratch.path().join("archive");
    let out = BufWriter::new(File::create(&packed).context("make the archive")?);
    let mut tar = tar::Builder::new(GzEncoder::new(out, Compression::default()));
    tar.follow_symlinks(false);
    tar.append_path_with_name(&database, Path::new("data").join(name)).context("pack it")?;
    let plain = config.folders.iter().filter(|place| place.class != Some(Class::Settings));
    for place in plain {
        append(&mut tar, &place.path, Path::new(&place.name))
            .with_context(|| format!("pack {}", place.path.display()))?;
    }
    let out = tar.into_inner().and_then(GzEncoder::finish).context("finish the archive")?;
    let out = out.into_inner().map_err(io::IntoInnerError::into_error).context("write it")?;
    out.sync_all().context("make it durable")?;
    // A second name fails where one is there already; a rename would write over it.
    fs::hard_link(&packed, file).with_context(|| format!("name it {}", file.display()))?;
    File::open(folder).and_then(|folder| folder.sync_all()).context("make its name durable")
}

/// Packs a folder; files that go away meanwhile, as logs do, are left out.
fn append(
    tar: &mut tar::Builder<GzEncoder<BufWriter<File>>>,
    folder: &Path,
    name: &Path,
) -> io::Result<()> {
    for item in fs::read_dir(folder)? {
        let item = item?;
        let (path, name) = (item.path(), name.join(item.file_name()));
        let kind = item.file_type()?;
        let packed = if kind.is_dir() {
            append(tar, &path, &name)
        } else if kind.is_file() {
            append_file(tar, &path, &name)
        } else {
            Ok(())
        };
        match packed {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            packed => packed?,
        }
    }
    Ok(())
}

/// Packs a file as long as it was when it was opened: a log may grow while it is read.
fn append_file(
    tar: &mut tar::Builder<GzEncoder<BufWriter<File>>>,
    path: &Path,
    name: &Path,
) -> io::Result<()> {
    use io::Read as _;
    let file = File::open(path)?;
    let about = file.metadata()?;
    let mut header = tar::Header::new_gnu();
    header.set_metadata(&about);
    header.set_size(about.len());
    let padded = file.take(about.len()).chain(io::repeat(0)).take(about.len());
    tar.append_data(&mut header, name, padded)
}

fn litestream(wished: &Wished<'_>, folder: &Path) -> Result<Done, Refusal> {
    let disk = Disk::default();
    let tree = Tree::open(&wished.plan.root, disk.clone()).map_err(Refusal::failed)?;
    let catalogue = tree.list().map_err(Refusal::failed)?;
    let bytes = catalogue.export(&wished.plan.entries, folder, &disk).map_err(Refusal::failed)?;
    Ok(Done {
        lines: vec![
            format!("Backup completed: {}", folder.display()),
            format!("bring it back with: litestream restore -o FILE file://{}", folder.display()),
        ],
        report: json!({ "folder": folder, "bytes": bytes, "txid": wished.plan.txid }),
    })
}
