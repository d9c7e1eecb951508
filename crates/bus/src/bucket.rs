//! A key-value bucket: the newest value of each key, compared before it is changed.

use std::fmt;

use async_nats::jetstream::kv;
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt};

use crate::error::BusError;

/// A bucket. Cheap to clone. Keys are made of `-/_=.a-zA-Z0-9`.
#[derive(Clone)]
pub struct Bucket {
    store: kv::Store,
}

impl fmt::Debug for Bucket {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Bucket").field("name", &self.store.name).finish_non_exhaustive()
    }
}

/// A key's value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The value.
    pub value: Bytes,
    /// Which write of the bucket made it.
    pub revision: u64,
}

/// A key's change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The key.
    pub key: String,
    /// Its new value; none where it was deleted.
    pub value: Option<Bytes>,
    /// Which write of the bucket made it.
    pub revision: u64,
}

impl Bucket {
    pub(crate) fn new(store: kv::Store) -> Self {
        Self { store }
    }

    /// A key's value, if it has one.
    pub async fn get(&self, key: &str) -> Result<Option<Entry>, BusError> {
        let entry = self
            .store
            .entry(key)
            .await
            .map_err(|error| BusError::unavailable("read a key")(error.into()))?;
        Ok(entry
            .filter(|entry| entry.operation == kv::Operation::Put)
            .map(|entry| Entry { value: entry.value, revision: entry.revision }))
    }

    /// Sets a key's value, whatever it was. Returns the write's revision.
    pub async fn put(&self, key: &str, value: Vec<u8>) -> Result<u64, BusError> {
        self.store
            .put(key, value.into())
            .await
            .map_err(|error| BusError::unavailable("write a key")(error.into()))
    }

    /// Sets a key that has no value. None: it has one.
    pub async fn create(&self, key: &str, value: Vec<u8>) -> Result<Option<u64>, BusError> {
        match self.store.create(key, value.into()).await {
            Ok(revision) => Ok(Some(revision)),
            Err(error) if error.kind() == kv::CreateErrorKind::AlreadyExists => Ok(None),
            Err(error) => Err(BusError::unavailable("create a key")(error.into())),
        }
    }

    /// Sets a key whose newest write is `revision`. None: it was changed meanwhile.
    pub async fn update(
        &self,
        key: &str,
        value: Vec<u8>,
        revision: u64,
    ) -> Result<Option<u64>, BusError> {
        match self.store.update(key, value.into(), revision).await {
            Ok(revision) => Ok(Some(revision)),
            Err(error) if error.kind() == kv::UpdateErrorKind::WrongLastRevision => Ok(None),
            Err(error) => Err(BusError::unavailable("update a key")(error.into())),
        }
    }

    /// Deletes a key's value and what is left of older ones.
    pub async fn delete(&self, key: &str) -> Result<(), BusError> {
        self.store
            .purge(key)
            .await
            .map_err(|error| BusError::unavailable("delete a key")(error.into()))
    }

    /// The keys that begin with `prefix` and have a value.
    pub async fn keys(&self, prefix: &str) -> Result<Vec<String>, BusError> {
        let away = |error: async_nats::Error| BusError::unavailable("list keys")(error);
        let keys = self.store.keys().await.map_err(|error| away(error.into()))?;
        keys.try_filter(|key| std::future::ready(key.starts_with(prefix)))
            .try_collect()
            .await
            .map_err(|error| away(error.into()))
    }

    /// The changes of the keys that match `filter` (such as `thread.*`), beginning with the
    /// present value of each.
    pub async fn watch(&self, filter: &str) -> Result<Watch, BusError> {
        self.store
            .watch_with_history(filter)
            .await
            .map(|inner| Watch { inner })
            .map_err(|error| BusError::unavailable("watch keys")(error.into()))
    }
}

/// Changes of a bucket.
pub struct Watch {
    inner: kv::Watch,
}

impl fmt::Debug for Watch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Watch").finish_non_exhaustive()
    }
}

impl Watch {
    /// The next change. An error ends the watch: make a new one.
    pub async fn next(&mut self) -> Result<Change, BusError> {
        let away = |error: async_nats::Error| BusError::unavailable("watch keys")(error);
        let entry = self.inner.next().await.ok_or_else(|| away("the watch ended".into()))?;
        let entry = entry.map_err(|error| away(error.into()))?;
        let value = (entry.operation == kv::Operation::Put).then_some(entry.value);
        Ok(Change { key: entry.key, value, revision: entry.revision })
    }
}
