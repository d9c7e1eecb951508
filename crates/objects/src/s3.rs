//! A bucket as a target, at any of the stores that speak S3.

use std::ops::Range;

use futures_util::future::FutureExt as _;
use futures_util::stream::TryStreamExt as _;
use opendal::{ErrorKind, Operator, services};
use secrecy::ExposeSecret as _;

use crate::content::{Chunks, Content};
use crate::fault::{FaultKind, Trouble};
use crate::http::{self, trouble};
use crate::location::S3Place;
use crate::object::Object;
use crate::side::{Answer, Side};
use crate::target::Settings;

/// What goes up at a time; a smaller object goes up in one request. S3 wants 5 MiB or more.
const PART_SIZE: u64 = 8 * 1024 * 1024;
/// S3 takes 10 000 parts of an object.
const PARTS: u64 = 9_000;
/// Parts under way at the same time: with their size, the memory an upload takes.
const PARTS_AT_ONCE: usize = 2;
/// Under this name (after `x-amz-meta-`) stock litestream looks for the time of a file.
const TIME_KEY: &str = "litestream-timestamp";

/// Objects of one bucket below one prefix.
pub(crate) struct S3 {
    operator: Operator,
}

impl S3 {
    pub(crate) fn new(place: &S3Place, settings: &Settings) -> Result<Self, Trouble> {
        let client = http::client(settings.extra_ca_pem.as_deref(), settings.patience.stall)?;
        // Nothing is taken from the environment or a machine's metadata service: which key is
        // used is what the settings say.
        let mut builder = services::S3::default()
            .disable_config_load()
            .disable_ec2_metadata()
            .bucket(&place.bucket)
            .root(&place.prefix)
            .region(&place.region);
        if let Some(endpoint) = &place.endpoint {
            builder = builder.endpoint(endpoint);
        }
        if place.virtual_host {
            builder = builder.enable_virtual_host_style();
        }
        if let Some(algorithm) = &place.checksum {
            builder = builder.checksum_algorithm(algorithm);
        }
        let (Some(account), Some(password)) = (&settings.account, &settings.password) else {
            return Err(Trouble::new(
                FaultKind::Unfit,
                "an S3 target needs an access key id and a secret access key",
            ));
        };
        builder = builder.access_key_id(account).secret_access_key(password.expose_secret());
        Ok(Self { operator: http::operator(builder, &client)? })
    }

    async fn upload(&self, path: &str, content: &Content) -> Result<(), Trouble> {
        let part = PART_SIZE.max(content.length.div_ceil(PARTS));
        let part = usize::try_from(part).unwrap_or(usize::MAX);
        let mut writer = self.operator.writer_with(path).chunk(part).concurrent(PARTS_AT_ONCE);
        if let Some(time) = content.time_ms.and_then(rfc3339) {
            writer = writer.user_metadata([(TIME_KEY.to_owned(), time)]);
        }
        let mut writer = writer.await.map_err(|error| trouble(&error))?;
        let filled = async {
            let mut pieces = content.open().await?;
            while let Some(piece) = pieces.try_next().await? {
                writer.write(piece).await.map_err(|error| trouble(&error))?;
            }
            writer.close().await.map_err(|error| trouble(&error))
        };
        if let Err(trouble) = filled.await {
            // Parts that were sent cost money until somebody clears them away.
            if let Err(error) = writer.abort().await {
                tracing::debug!(%error, "could not clear away the parts of a broken upload");
            }
            return Err(trouble);
        }
        content.pulse.beat();
        Ok(())
    }

    async fn entries(&self, prefix: &str) -> Result<Vec<Object>, Trouble> {
        list(&self.operator, prefix).await
    }
}

impl Side for S3 {
    fn put<'a>(&'a self, path: &'a str, content: &'a Content) -> Answer<'a, ()> {
        self.upload(path, content).boxed()
    }

    fn read<'a>(&'a self, path: &'a str, range: Option<Range<u64>>) -> Answer<'a, Chunks> {
        read(&self.operator, path, range).boxed()
    }

    fn list<'a>(&'a self, prefix: &'a str) -> Answer<'a, Vec<Object>> {
        self.entries(prefix).boxed()
    }

    fn stat<'a>(&'a self, path: &'a str) -> Answer<'a, Object> {
        stat(&self.operator, path).boxed()
    }

    fn delete<'a>(&'a self, path: &'a str) -> Answer<'a, ()> {
        async move { self.operator.delete(path).await.map_err(|error| trouble(&error)) }.boxed()
    }
}

/// Begins to read; shared with WebDAV.
pub(crate) async fn read(
    operator: &Operator,
    path: &str,
    range: Option<Range<u64>>,
) -> Result<Chunks, Trouble> {
    // A range that ends beyond the object is cut to it, so that a caller need not know the size.
    let size = stat(operator, path).await?.size;
    let range = range.map_or(0..size, |range| range.start.min(size)..range.end.min(size));
    let reader = operator.reader(path).await.map_err(|error| trouble(&error))?;
    let pieces = reader.into_stream(range).await.map_err(|error| trouble(&error))?;
    Ok(http::chunks(pieces))
}

/// Looks at one object; shared with WebDAV.
pub(crate) async fn stat(operator: &Operator, path: &str) -> Result<Object, Trouble> {
    let about = operator.stat(path).await.map_err(|error| trouble(&error))?;
    if !about.is_file() {
        return Err(Trouble::new(FaultKind::NotFound, "it is a folder"));
    }
    Ok(object(path, &about))
}

/// Lists everything below a folder; shared with WebDAV.
pub(crate) async fn list(operator: &Operator, prefix: &str) -> Result<Vec<Object>, Trouble> {
    let entries = match operator.list_with(prefix).recursive(true).await {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(|error| trouble(&error))?,
    };
    let files = entries.iter().filter(|entry| entry.metadata().is_file());
    Ok(files.map(|entry| object(entry.path(), entry.metadata())).collect())
}

fn object(path: &str, about: &opendal::Metadata) -> Object {
    let modified_ms = about.last_modified().map(|time| time.into_inner().as_millisecond());
    Object { path: path.to_owned(), size: about.content_length(), modified_ms }
}

/// As Go writes `time.RFC3339Nano`.
fn rfc3339(time_ms: i64) -> Option<String> {
    jiff::Timestamp::from_millisecond(time_ms).ok().map(|time| time.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_is_written_as_litestream_reads_it() {
        assert_eq!(rfc3339(1_700_000_000_120).as_deref(), Some("2023-11-14T22:13:20.12Z"));
        assert_eq!(rfc3339(1_700_000_000_000).as_deref(), Some("2023-11-14T22:13:20Z"));
    }
}
