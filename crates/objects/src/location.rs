//! Addresses of targets, as an operator writes them.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use reqwest::Url;

/// Where a target is, without anything secret.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Location {
    /// `file:///mnt/usb/backup`: a folder of this machine, which must be there already.
    Folder(PathBuf),
    /// `s3://bucket/prefix?endpoint=https://s3.example.com&region=eu-central-1`
    S3(S3Place),
    /// `webdav+https://host/path`
    WebDav(WebDavPlace),
    /// `sftp://me@host:22/path`
    Sftp(SftpPlace),
    /// `rclone:remote:path`
    Rclone(RclonePlace),
}

/// A bucket and what to know about its store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct S3Place {
    /// The bucket, which must be there already.
    pub bucket: String,
    /// What every name of an object begins with; empty, or without slashes at its ends.
    pub prefix: String,
    /// The store's address; none means Amazon's own.
    pub endpoint: Option<String>,
    /// The region requests are signed for.
    pub region: String,
    /// Whether the bucket stands in the host's name (`style=host`) and not in the path.
    pub virtual_host: bool,
    /// A checksum the store demands, such as `crc32c` for buckets with object lock.
    pub checksum: Option<String>,
}

/// A folder of a WebDAV server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebDavPlace {
    /// The folder's address, `https` or `http`; it must be there already.
    pub endpoint: String,
    /// The account, if it stands in the address.
    pub account: Option<String>,
}

/// A folder of an SSH server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SftpPlace {
    /// The server's name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The account, if it stands in the address.
    pub account: Option<String>,
    /// The folder, absolute, or below the account's own (`/~/backup`, kept as `backup`); it must
    /// be there already.
    pub path: String,
    /// The fingerprint of the server's key, `SHA256:…`; without it the first one met is kept.
    pub host_key: Option<String>,
}

/// A path of one of rclone's remotes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RclonePlace {
    /// As rclone writes it: `remote:path`.
    pub remote: String,
}

/// An address that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{given:?} is no address of a target: {what}; write it like {example}")]
pub struct BadLocation {
    /// What was written, without what might be a password.
    given: String,
    what: String,
    example: &'static str,
}

const ANY: &str = "file:///mnt/usb/backup, sftp://me@host/path, webdav+https://host/path, \
     s3://bucket/prefix?endpoint=https://s3.example.com&region=eu-central-1 or rclone:remote:path";
const FILE: &str = "file:///mnt/usb/backup";
const S3: &str = "s3://bucket/prefix?endpoint=https://s3.example.com&region=eu-central-1";
const SFTP: &str = "sftp://me@nas.example.com:22/volume1/backup?host_key=SHA256:…";
const RCLONE: &str = "rclone:gdrive:backup/kotonoha";
const WEBDAV: &str = "webdav+https://cloud.example.com/remote.php/dav/files/me/backup";

impl FromStr for Location {
    type Err = BadLocation;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let bad = |what: String, example| BadLocation { given: guarded(text), what, example };
        if let Some(remote) = text.strip_prefix("rclone:") {
            return rclone(remote).map_err(|what| bad(what, RCLONE));
        }
        let url = Url::parse(text).map_err(|error| bad(error.to_string(), ANY))?;
        if url.password().is_some() {
            let what = "a password does not stand in an address, it has a setting of its own";
            return Err(bad(what.to_owned(), ANY));
        }
        match url.scheme() {
            "file" => folder(&url).map_err(|what| bad(what, FILE)),
            "s3" => s3(&url).map_err(|what| bad(what, S3)),
            "webdav+https" | "webdav+http" => webdav(&url).map_err(|what| bad(what, WEBDAV)),
            "sftp" => sftp(&url).map_err(|what| bad(what, SFTP)),
            other => Err(bad(format!("nothing here speaks {other:?}"), ANY)),
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path) => write!(f, "file://{}", path.display()),
            Self::S3(place) => {
                write!(f, "s3://{}/{}", place.bucket, place.prefix)?;
                place.endpoint.as_ref().map_or(Ok(()), |endpoint| write!(f, " at {endpoint}"))
            }
            Self::WebDav(place) => write!(f, "webdav+{}", place.endpoint),
            Self::Sftp(place) => {
                let home = if place.path.starts_with('/') { "" } else { "/~/" };
                write!(f, "sftp://{}:{}{home}{}", place.host, place.port, place.path)
            }
            // A remote made on the fly may hold secrets between its name and its path.
            Self::Rclone(place) if place.remote.starts_with(':') => write!(f, "rclone::…"),
            Self::Rclone(place) => write!(f, "rclone:{}", place.remote),
        }
    }
}

/// What was written, without what might be a password.
fn guarded(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    match rest.rsplit_once('@') {
        Some((_, place)) => format!("{scheme}://…@{place}"),
        None => text.to_owned(),
    }
}

fn folder(url: &Url) -> Result<Location, String> {
    no_options(url, &[])?;
    let path = url.to_file_path().map_err(|()| {
        "a folder's address has three slashes and an absolute path after them".to_owned()
    })?;
    if path.parent().is_none() {
        return Err("the root of the file system is no place for a backup".to_owned());
    }
    Ok(Location::Folder(path))
}

fn s3(url: &Url) -> Result<Location, String> {
    no_options(url, &["endpoint", "region", "style", "checksum"])?;
    if !url.username().is_empty() {
        return Err("an access key id has a setting of its own".to_owned());
    }
    let bucket = url.host_str().filter(|host| !host.is_empty()).ok_or("it names no bucket")?;
    let endpoint = option(url, "endpoint");
    if let Some(endpoint) = &endpoint {
        let fine = Url::parse(endpoint)
            .is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        if !fine {
            return Err(format!("its endpoint {endpoint:?} is no http or https address"));
        }
    }
    let region = match (option(url, "region"), &endpoint) {
        (Some(region), _) => region,
        // Most stores of their own do not look at it.
        (None, Some(_)) => "us-east-1".to_owned(),
        (None, None) => return Err("Amazon's own store needs a region".to_owned()),
    };
    let virtual_host = match option(url, "style").as_deref() {
        None | Some("path") => false,
        Some("host") => true,
        Some(other) => return Err(format!("its style is path or host, and not {other:?}")),
    };
    let checksum = option(url, "checksum");
    if checksum.as_deref().is_some_and(|name| name != "crc32c") {
        return Err("the one checksum there is is crc32c".to_owned());
    }
    let prefix = decoded(url)?;
    let bucket = bucket.to_owned();
    Ok(Location::S3(S3Place { bucket, prefix, endpoint, region, virtual_host, checksum }))
}

fn webdav(url: &Url) -> Result<Location, String> {
    no_options(url, &[])?;
    if !url.has_host() {
        return Err("it names no host".to_owned());
    }
    let account = account(url)?;
    let mut plain = url.clone();
    plain.set_username("").map_err(|()| "its account cannot be read".to_owned())?;
    let endpoint = plain.as_str().trim_start_matches("webdav+").trim_end_matches('/').to_owned();
    Ok(Location::WebDav(WebDavPlace { endpoint, account }))
}

fn sftp(url: &Url) -> Result<Location, String> {
    no_options(url, &["host_key"])?;
    let host = url.host_str().filter(|host| !host.is_empty()).ok_or("it names no host")?;
    let host = host.trim_matches(['[', ']']).to_owned();
    let host_key = option(url, "host_key");
    if host_key.as_deref().is_some_and(|key| !key.starts_with("SHA256:")) {
        return Err("its host_key is a fingerprint that begins with SHA256:".to_owned());
    }
    let path = decoded(url)?;
    let path = match path.strip_prefix('~') {
        None if path.is_empty() => return Err("it names no folder".to_owned()),
        None => format!("/{path}"),
        Some(home) => home.trim_start_matches('/').to_owned(),
    };
    let (port, account) = (url.port().unwrap_or(22), account(url)?);
    Ok(Location::Sftp(SftpPlace { host, port, account, path, host_key }))
}

fn rclone(remote: &str) -> Result<Location, String> {
    if remote.starts_with('-') || !remote.contains(':') {
        return Err("it names no remote of rclone's configuration".to_owned());
    }
    Ok(Location::Rclone(RclonePlace { remote: remote.to_owned() }))
}

fn account(url: &Url) -> Result<Option<String>, String> {
    let name = percent_decoded(url.username())?;
    Ok(Some(name).filter(|name| !name.is_empty()))
}

/// One option. A plus is a plus: fingerprints hold them, and nobody writes spaces here.
fn option(url: &Url, key: &str) -> Option<String> {
    let pairs = url.query()?.split('&').filter_map(|pair| pair.split_once('='));
    let value = pairs.into_iter().find(|(name, _)| *name == key)?.1;
    percent_decoded(value).ok().filter(|value| !value.is_empty())
}

fn no_options(url: &Url, but: &[&str]) -> Result<(), String> {
    if url.fragment().is_some() {
        return Err("it has a part after #".to_owned());
    }
    match url.query_pairs().find(|(name, _)| !but.contains(&name.as_ref())) {
        Some((name, _)) => Err(format!("it has no option {name:?}")),
        None => Ok(()),
    }
}

/// The path without slashes at its ends.
fn decoded(url: &Url) -> Result<String, String> {
    let path = percent_decoded(url.path())?;
    let path = path.trim_matches('/');
    if path.split('/').any(|name| name == ".." || name == ".") {
        return Err("its path has dots for a name".to_owned());
    }
    Ok(path.to_owned())
}

/// `%20` and its like as what they stand for.
fn percent_decoded(text: &str) -> Result<String, String> {
    let bad = || format!("{text:?} is not well written after a %");
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let pair = [rest.next().ok_or_else(bad)?, rest.next().ok_or_else(bad)?];
        let pair = std::str::from_utf8(&pair).ok().filter(|pair| !pair.starts_with('+'));
        bytes.push(pair.and_then(|pair| u8::from_str_radix(pair, 16).ok()).ok_or_else(bad)?);
    }
    String::from_utf8(bytes).ok().ok_or_else(bad)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bad(text: &str) -> String {
        text.parse::<Location>().unwrap_err().to_string()
    }

    #[test]
    fn each_kind_of_address_is_read() {
        assert_eq!(
            "file:///mnt/usb%20disk/backup".parse(),
            Ok(Location::Folder(PathBuf::from("/mnt/usb disk/backup")))
        );
        let place = S3Place {
            bucket: "My-Bucket".to_owned(),
            prefix: "a/b".to_owned(),
            endpoint: Some("http://127.0.0.1:9000".to_owned()),
            region: "us-east-1".to_owned(),
            virtual_host: false,
            checksum: None,
        };
        assert_eq!(
            "s3://My-Bucket/a/b/?endpoint=http://127.0.0.1:9000".parse(),
            Ok(Location::S3(place))
        );
        let place = WebDavPlace {
            endpoint: "https://cloud.example.com/remote.php/dav/files/me".to_owned(),
            account: Some("me@home".to_owned()),
        };
        assert_eq!(
            "webdav+https://me%40home@cloud.example.com/remote.php/dav/files/me/".parse(),
            Ok(Location::WebDav(place))
        );
    }

    #[test]
    fn an_ssh_server_and_a_remote_of_rclone_are_read() {
        let place = SftpPlace {
            host: "nas.local".to_owned(),
            port: 2222,
            account: Some("me".to_owned()),
            path: "/volume1/backup".to_owned(),
            host_key: Some("SHA256:a+b/c".to_owned()),
        };
        let address = "sftp://me@nas.local:2222/volume1/backup/?host_key=SHA256:a+b/c";
        assert_eq!(address.parse(), Ok(Location::Sftp(place)));
        let place = SftpPlace {
            host: "::1".to_owned(),
            port: 22,
            account: None,
            path: "backup".to_owned(),
            host_key: None,
        };
        assert_eq!("sftp://[::1]/~/backup".parse(), Ok(Location::Sftp(place)));
        let place = RclonePlace { remote: "gdrive:a/b".to_owned() };
        assert_eq!("rclone:gdrive:a/b".parse(), Ok(Location::Rclone(place)));
    }

    #[test]
    fn what_is_wrong_is_said_with_an_example() {
        assert_eq!(
            bad("file://backup"),
            "\"file://backup\" is no address of a target: a folder's address has three slashes \
             and an absolute path after them; write it like file:///mnt/usb/backup"
        );
        assert!(bad("ftp://host/x").contains("nothing here speaks \"ftp\""));
        assert!(bad("/mnt/usb").contains("write it like file:///mnt/usb/backup, sftp://"));
        assert!(bad("sftp://me@host").contains("names no folder"));
        assert!(bad("sftp://me@host/x?host_key=ab:cd").contains("begins with SHA256:"));
        assert!(bad("rclone:gdrive").contains("names no remote"));
        assert!(bad("s3://bucket").contains("needs a region"));
        assert!(bad("s3://bucket?region=x&colour=red").contains("no option \"colour\""));
        assert!(bad("s3://bucket?endpoint=minio:9000").contains("no http or https address"));
        assert!(bad("s3:///x?region=y").contains("no bucket"));
        assert!(bad("file:///").contains("root of the file system"));
    }

    #[test]
    fn a_password_in_an_address_is_refused_and_not_repeated() {
        let said = bad("webdav+https://me:hunter2@host/x");
        assert!(said.contains("setting of its own") && !said.contains("hunter2"), "{said}");
        let said = bad("webdav+https://me:hun@ter2@ho st/x");
        assert!(!said.contains("ter2"), "{said}");
    }
}
