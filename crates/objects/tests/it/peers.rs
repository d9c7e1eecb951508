//! Real far sides, started for one test on loopback and ended with it.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use objects::{Location, Settings, Target};
use secrecy::SecretString;
use tempfile::TempDir;

/// How long a far side may take to start.
const PATIENCE: Duration = Duration::from_mins(1);

/// A program named by `variable` or found on `PATH`.
#[expect(clippy::disallowed_methods, reason = "where this machine keeps a peer is no setting")]
pub(crate) fn program(variable: &str, name: &str) -> Option<PathBuf> {
    if let Some(path) = std::env::var_os(variable) {
        return Some(path.into());
    }
    let path = std::env::var_os("PATH")?;
    let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    folders.map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// The program, or a line that says what was skipped.
#[expect(clippy::print_stdout, reason = "the suite counts skips by this line")]
pub(crate) fn wanted(variable: &str, name: &str, skip: &str) -> Option<PathBuf> {
    let found = program(variable, name);
    if found.is_none() {
        println!("skipped: {skip}");
    }
    found
}

/// A target in a folder.
pub(crate) fn folder(root: &Path) -> Target {
    Target::open(&Settings::new("disk", Location::Folder(root.to_path_buf()))).unwrap()
}

/// A process that ends with the value.
pub(crate) struct Process(Child);

impl Process {
    pub(crate) fn start(command: &mut Command) -> Self {
        let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Self(command.spawn().unwrap())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Waits until somebody takes connections there.
pub(crate) async fn listening(port: u16) {
    let since = Instant::now();
    while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
        assert!(since.elapsed() < PATIENCE, "nobody listens on port {port}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A stand-in for Amazon's store that is not ours.
pub(crate) struct Moto {
    port: u16,
    _process: Process,
}

impl Moto {
    const BUCKET: &str = "kotonoha";

    pub(crate) async fn start() -> Option<Self> {
        let program = wanted("KOTONOHA_MOTO_SERVER", "moto_server", "no moto server")?;
        let port = free_port();
        let arguments = ["-H", "127.0.0.1", "-p", &port.to_string()];
        let process = Process::start(Command::new(program).args(arguments));
        listening(port).await;
        let made = http_client().put(format!("http://127.0.0.1:{port}/{}", Self::BUCKET));
        let made = made.header("authorization", SIGNED).send().await.unwrap();
        assert!(made.status().is_success(), "{made:?}");
        Some(Self { port, _process: process })
    }

    pub(crate) fn target(&self, prefix: &str) -> Target {
        self.target_of(Self::BUCKET, prefix)
    }

    pub(crate) fn target_of(&self, bucket: &str, prefix: &str) -> Target {
        let address = format!("s3://{bucket}/{prefix}?endpoint=http://127.0.0.1:{}", self.port);
        let mut settings = Settings::new("bucket", address.parse().unwrap());
        settings.account = Some("key".to_owned());
        settings.password = Some(SecretString::from("secret".to_owned()));
        Target::open(&settings).unwrap()
    }

    /// What the store says about an object besides its bytes.
    pub(crate) async fn header(&self, path: &str, name: &str) -> Option<String> {
        let address = format!("http://127.0.0.1:{}/{}/{path}", self.port, Self::BUCKET);
        let answer = http_client().head(address).header("authorization", SIGNED).send().await;
        let answer = answer.unwrap();
        Some(answer.headers().get(name)?.to_str().unwrap().to_owned())
    }
}

/// moto looks at who asks, and not at whether the signature is right.
const SIGNED: &str = "AWS4-HMAC-SHA256 Credential=key/20260101/us-east-1/s3/aws4_request, \
                      SignedHeaders=host, Signature=0";

fn http_client() -> reqwest::Client {
    drop(rustls::crypto::ring::default_provider().install_default());
    reqwest::Client::new()
}

/// rclone as a WebDAV server over a folder.
pub(crate) struct WebDav {
    port: u16,
    root: TempDir,
    _process: Process,
}

impl WebDav {
    pub(crate) async fn start() -> Option<Self> {
        let program = wanted("KOTONOHA_RCLONE", "rclone", "no rclone")?;
        let root = tempfile::tempdir().unwrap();
        let port = free_port();
        let mut command = Command::new(program);
        command.args(["serve", "webdav", "--user", "me", "--pass", "right"]);
        command.args(["--addr", &format!("127.0.0.1:{port}"), "--config", "/dev/null"]);
        let process = Process::start(command.arg(root.path()));
        listening(port).await;
        Some(Self { port, root, _process: process })
    }

    pub(crate) fn target(&self) -> Target {
        self.target_with("me", "right")
    }

    pub(crate) fn target_with(&self, account: &str, password: &str) -> Target {
        let address = format!("webdav+http://{account}@127.0.0.1:{}", self.port);
        let mut settings = Settings::new("dav", address.parse().unwrap());
        settings.account = Some(account.to_owned());
        settings.password = Some(SecretString::from(password.to_owned()));
        Target::open(&settings).unwrap()
    }

    /// The folder behind it.
    pub(crate) fn root(&self) -> PathBuf {
        self.root.path().to_path_buf()
    }
}

/// One of rclone's remotes over a folder.
pub(crate) struct Remote {
    place: TempDir,
    program: PathBuf,
}

impl Remote {
    pub(crate) fn new() -> Option<Self> {
        let program = wanted("KOTONOHA_RCLONE", "rclone", "no rclone")?;
        let place = tempfile::tempdir().unwrap();
        let root = place.path().join("root");
        std::fs::create_dir(&root).unwrap();
        let config = format!("[far]\ntype = alias\nremote = {}\n", root.display());
        std::fs::write(place.path().join("rclone.conf"), config).unwrap();
        Some(Self { place, program })
    }

    pub(crate) fn target(&self) -> Target {
        self.target_at("rclone:far:")
    }

    pub(crate) fn target_at(&self, address: &str) -> Target {
        let mut settings = Settings::new("remote", address.parse().unwrap());
        settings.rclone.program.clone_from(&self.program);
        settings.rclone.config = Some(self.place.path().join("rclone.conf"));
        Target::open(&settings).unwrap()
    }

    /// The folder behind it.
    pub(crate) fn root(&self) -> PathBuf {
        self.place.path().join("root")
    }
}

/// OpenSSH's own server with keys made for one test.
pub(crate) struct Ssh {
    place: TempDir,
    pub(crate) port: u16,
    program: PathBuf,
    process: Option<Process>,
}

impl Ssh {
    pub(crate) async fn start() -> Option<Self> {
        let program = wanted("KOTONOHA_SSHD", "sshd", "no SSH server")?;
        // It refuses to be run by a relative name.
        let program = program.canonicalize().unwrap();
        let place = tempfile::tempdir().unwrap();
        std::fs::create_dir(place.path().join("root")).unwrap();
        let mut server = Self { place, port: free_port(), program, process: None };
        server.make_key("host");
        server.make_key("me");
        server.allow("me");
        server.restart().await;
        Some(server)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    /// Makes a key pair, over one of that name.
    pub(crate) fn make_key(&self, name: &str) {
        drop(std::fs::remove_file(self.file(name)));
        let mut command = Command::new("ssh-keygen");
        command.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(self.file(name));
        assert!(command.status().unwrap().success());
    }

    /// Lets whoever holds this key in, and nobody else.
    pub(crate) fn allow(&self, name: &str) {
        std::fs::copy(self.file(&format!("{name}.pub")), self.file("allowed")).unwrap();
    }

    pub(crate) async fn restart(&mut self) {
        self.stop();
        let config = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {host}\nPidFile none\n\
             AuthorizedKeysFile {allowed}\nStrictModes no\nUsePAM no\n\
             PasswordAuthentication no\nPermitRootLogin yes\nSubsystem sftp internal-sftp\n",
            port = self.port,
            host = self.file("host").display(),
            allowed = self.file("allowed").display(),
        );
        std::fs::write(self.file("config"), config).unwrap();
        // Debian's server separates privileges in a folder that its service makes.
        drop(std::fs::create_dir_all("/run/sshd"));
        let mut command = Command::new(&self.program);
        command.arg("-D").arg("-e").arg("-f").arg(self.file("config"));
        self.process = Some(Process::start(&mut command));
        listening(self.port).await;
    }

    pub(crate) fn stop(&mut self) {
        self.process = None;
    }

    /// The fingerprint of the server's key.
    pub(crate) fn fingerprint(&self) -> String {
        let mut command = Command::new("ssh-keygen");
        let printed = command.arg("-lf").arg(self.file("host.pub")).output().unwrap();
        let printed = String::from_utf8(printed.stdout).unwrap();
        printed.split(' ').nth(1).unwrap().to_owned()
    }

    pub(crate) fn settings(&self, options: &str, key: &str) -> Settings {
        let account = Command::new("id").arg("-un").output().unwrap();
        let account = String::from_utf8(account.stdout).unwrap();
        let root = self.root();
        let address =
            format!("sftp://{}@127.0.0.1:{}{}{options}", account.trim(), self.port, root.display());
        let mut settings = Settings::new("nas", address.parse().unwrap());
        let text = std::fs::read_to_string(self.file(key)).unwrap();
        settings.private_key = Some(SecretString::from(text));
        settings.state_folder = Some(self.file("state"));
        settings
    }

    pub(crate) fn target(&self) -> Target {
        Target::open(&self.settings("", "me")).unwrap()
    }

    /// The folder behind it.
    pub(crate) fn root(&self) -> PathBuf {
        self.place.path().join("root")
    }
}
