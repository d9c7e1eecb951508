//! A WebDAV folder as a target: Nextcloud, a NAS, many a storage for rent.

use std::ops::Range;

use futures_util::future::FutureExt as _;
use futures_util::stream::TryStreamExt as _;
use opendal::{Operator, services};
use reqwest::header::CONTENT_LENGTH;
use secrecy::{ExposeSecret, SecretString};

use crate::content::{Chunks, Content};
use crate::fault::{FaultKind, Trouble};
use crate::http::{self, BodyTrouble, trouble};
use crate::location::WebDavPlace;
use crate::object::Object;
use crate::s3::{list, read, stat};
use crate::side::{Answer, PART, Side};
use crate::target::Settings;

/// Objects are files below the folder of an address.
///
/// opendal holds the whole of what it puts by WebDAV in memory, so that a put is a request of our
/// own: it streams, under the passing name, and opendal moves it to its place.
pub(crate) struct WebDav {
    operator: Operator,
    client: reqwest::Client,
    base: reqwest::Url,
    account: Option<(String, Option<SecretString>)>,
}

impl WebDav {
    pub(crate) fn new(place: &WebDavPlace, settings: &Settings) -> Result<Self, Trouble> {
        let client = http::client(settings.extra_ca_pem.as_deref(), settings.patience.stall)?;
        let base = reqwest::Url::parse(&place.endpoint)
            .map_err(|error| Trouble::new(FaultKind::Unfit, error))?;
        let mut builder = services::Webdav::default().endpoint(&place.endpoint);
        let account = settings.account.clone().or_else(|| place.account.clone());
        if let Some(account) = &account {
            builder = builder.username(account);
        }
        if let Some(password) = &settings.password {
            builder = builder.password(password.expose_secret());
        }
        let account = account.map(|account| (account, settings.password.clone()));
        Ok(Self { operator: http::operator(builder, &client)?, client, base, account })
    }

    async fn upload(&self, path: &str, content: &Content) -> Result<(), Trouble> {
        let part = format!("{path}{PART}");
        let sent = match self.send(&part, content).await {
            // WebDAV says either where a folder is missing.
            Err(missing) if missing.kind == FaultKind::NotFound => {
                let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
                let made = self.operator.create_dir(&format!("{folder}/")).await;
                made.map_err(|error| trouble(&error))?;
                self.send(&part, content).await
            }
            other => other,
        };
        sent.map_err(|trouble| match trouble.kind {
            FaultKind::NotFound => Trouble::new(
                FaultKind::Unfit,
                format!("its folder is not there and cannot be made: {}", trouble.detail),
            ),
            _ => trouble,
        })?;
        let there = stat(&self.operator, &part).await?;
        if there.size != content.length {
            let text = format!("{} bytes were sent and {} are there", content.length, there.size);
            return Err(Trouble::new(FaultKind::Changed, text));
        }
        self.operator.rename(&part, path).await.map_err(|error| trouble(&error))
    }

    async fn send(&self, path: &str, content: &Content) -> Result<(), Trouble> {
        let mut url = self.base.clone();
        url.path_segments_mut()
            .map_err(|()| Trouble::new(FaultKind::Unfit, "its address takes no path"))?
            .pop_if_empty()
            .extend(path.split('/'));
        let pieces = content.open().await?.map_err(BodyTrouble);
        let mut request = self
            .client
            .put(url)
            .header(CONTENT_LENGTH, content.length)
            .body(reqwest::Body::wrap_stream(pieces));
        if let Some((account, password)) = &self.account {
            let password = password.as_ref().map(ExposeSecret::expose_secret);
            request = request.basic_auth(account, password);
        }
        http::send(request).await?;
        content.pulse.beat();
        Ok(())
    }
}

impl Side for WebDav {
    fn put<'a>(&'a self, path: &'a str, content: &'a Content) -> Answer<'a, ()> {
        self.upload(path, content).boxed()
    }

    fn read<'a>(&'a self, path: &'a str, range: Option<Range<u64>>) -> Answer<'a, Chunks> {
        read(&self.operator, path, range).boxed()
    }

    fn list<'a>(&'a self, prefix: &'a str) -> Answer<'a, Vec<Object>> {
        async move {
            let mut objects = list(&self.operator, prefix).await?;
            objects.retain(|object| !object.path.ends_with(PART));
            Ok(objects)
        }
        .boxed()
    }

    fn stat<'a>(&'a self, path: &'a str) -> Answer<'a, Object> {
        stat(&self.operator, path).boxed()
    }

    fn delete<'a>(&'a self, path: &'a str) -> Answer<'a, ()> {
        async move { self.operator.delete(path).await.map_err(|error| trouble(&error)) }.boxed()
    }
}
