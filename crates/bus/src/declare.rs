//! Brings the streams and buckets of the server to what the contracts declare.

use std::time::Duration;

use async_nats::jetstream::kv;
use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy, StorageType};
use contracts::access::bucket_stream;
use contracts::stream::{BUCKETS, BucketSpec, STREAMS, Storage, StreamSpec};

use crate::bucket::Bucket;
use crate::connection::Bus;
use crate::error::{BusError, chain};

/// How long a deleted key's marker stays in a bucket whose keys may expire.
const MARKER_AGE: Duration = Duration::from_mins(1);

impl Bus {
    /// Creates every stream and bucket that is missing, and brings the others to their
    /// declaration. Running it again changes nothing.
    pub async fn declare(&self) -> Result<(), BusError> {
        for spec in &STREAMS {
            self.declare_stream(spec).await?;
        }
        for spec in &BUCKETS {
            self.declare_bucket(spec).await?;
        }
        Ok(())
    }

    async fn declare_stream(&self, spec: &StreamSpec) -> Result<(), BusError> {
        let wanted = stream_config(spec);
        let doing = "declare a stream";
        match self.jetstream.get_stream(spec.name).await {
            Ok(stream) if holds(&stream.cached_info().config, &wanted) => Ok(()),
            Ok(stream) => {
                tracing::info!(stream = spec.name, "stream is brought to its declaration");
                let config = merged(stream.cached_info().config.clone(), wanted);
                let updated = self.jetstream.update_stream(config).await;
                updated.map(drop).map_err(|error| refused_or_away(doing, spec.name, &error))
            }
            Err(_missing_or_away) => {
                let created = self.jetstream.create_stream(wanted).await;
                created.map(drop).map_err(|error| refused_or_away(doing, spec.name, &error))
            }
        }
    }

    async fn declare_bucket(&self, spec: &BucketSpec) -> Result<(), BusError> {
        const DOING: &str = "declare a bucket";
        if let Ok(stream) = self.jetstream.get_stream(bucket_stream(spec.name)).await {
            let is = &stream.cached_info().config;
            let wanted = bucket_update(is.clone(), spec);
            if *is == wanted {
                return Ok(());
            }
            tracing::info!(bucket = spec.name, "bucket is brought to its declaration");
            let updated = self.jetstream.update_stream(wanted).await;
            return updated.map(drop).map_err(|error| refused_or_away(DOING, spec.name, &error));
        }
        let config = kv::Config {
            bucket: spec.name.to_owned(),
            description: spec.description.to_owned(),
            history: 1,
            max_age: Duration::from_secs(spec.age_seconds_max),
            max_bytes: i64::try_from(spec.bytes_max).unwrap_or(i64::MAX),
            storage: storage(spec.storage),
            limit_markers: spec.key_ttl.then_some(MARKER_AGE),
            ..kv::Config::default()
        };
        let created = self.jetstream.create_key_value(config).await;
        created.map(drop).map_err(|error| refused_or_away(DOING, spec.name, &error))
    }

    /// A bucket of the contracts, once it was declared.
    pub async fn bucket(&self, name: &str) -> Result<Bucket, BusError> {
        self.jetstream
            .get_key_value(name)
            .await
            .map(Bucket::new)
            .map_err(|error| BusError::unavailable("open a bucket")(error.into()))
    }
}

fn refused_or_away(doing: &'static str, name: &str, error: &dyn std::error::Error) -> BusError {
    let reason = format!("{name}: {}", chain(error));
    // The client has one kind for all of the server's refusals; their codes stand in the text.
    if reason.contains("error code") || reason.contains("code:") {
        BusError::Refused { doing, reason }
    } else {
        BusError::Unavailable { doing, reason }
    }
}

fn storage(storage: Storage) -> StorageType {
    match storage {
        Storage::File => StorageType::File,
        Storage::Memory => StorageType::Memory,
    }
}

fn stream_config(spec: &StreamSpec) -> Config {
    Config {
        name: spec.name.to_owned(),
        description: Some(spec.description.to_owned()),
        subjects: spec.subjects.iter().map(|subject| (*subject).to_owned()).collect(),
        // Not a work queue: there, a message's id is forgotten once it was acknowledged.
        retention: RetentionPolicy::Limits,
        storage: storage(spec.storage),
        max_age: Duration::from_secs(spec.age_seconds_max),
        max_bytes: i64::try_from(spec.bytes_max).unwrap_or(i64::MAX),
        max_message_size: i32::try_from(spec.message_bytes_max).unwrap_or(i32::MAX),
        discard: DiscardPolicy::New,
        duplicate_window: Duration::from_secs(spec.duplicate_window_seconds),
        allow_direct: true,
        num_replicas: 1,
        ..Config::default()
    }
}

/// Whether a stream is as declared. What the operator may tune (storage, replicas) is not asked.
fn holds(is: &Config, wanted: &Config) -> bool {
    is.subjects == wanted.subjects
        && is.max_age == wanted.max_age
        && is.max_bytes == wanted.max_bytes
        && is.max_message_size == wanted.max_message_size
        && is.duplicate_window == wanted.duplicate_window
        && is.discard == wanted.discard
        && is.description == wanted.description
}

/// The stream under a bucket, with what is declared of it. Storage is the operator's, as above.
fn bucket_update(mut is: Config, spec: &BucketSpec) -> Config {
    is.description = Some(spec.description.to_owned());
    is.max_age = Duration::from_secs(spec.age_seconds_max);
    is.max_bytes = i64::try_from(spec.bytes_max).unwrap_or(i64::MAX);
    if spec.key_ttl {
        is.allow_message_ttl = true;
        is.subject_delete_marker_ttl = Some(MARKER_AGE);
    }
    is
}

fn merged(mut is: Config, wanted: Config) -> Config {
    is.subjects = wanted.subjects;
    is.max_age = wanted.max_age;
    is.max_bytes = wanted.max_bytes;
    is.max_message_size = wanted.max_message_size;
    is.duplicate_window = wanted.duplicate_window;
    is.discard = wanted.discard;
    is.description = wanted.description;
    is
}
