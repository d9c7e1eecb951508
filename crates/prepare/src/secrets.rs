//! The secrets a person should not have to invent: made once, never overwritten.

use contracts::access::ROLES;

use crate::env_copy;
use crate::folder::{Folder, Owner, kind, mode};
use crate::folders::top;
use crate::report::{Report, words};
use crate::users::{self, User};

/// The password of a service at nats-server, in the folder of its own.
pub const NATS_PASSWORD: &str = "nats-password";
/// The users and rights, for nats-server.
pub const USERS: &str = "users.conf";

/// Where nats-server finds that folder in its container.
const SECRETS_IN_CONTAINER: &str = "/run/secrets";
/// Only the owner may look, and nobody may change.
const FOLDER_MODE: u32 = 0o500;
const FILE_MODE: u32 = 0o400;
const SECRET_BYTES: usize = 24;

/// Other secrets by folder and file.
const OTHERS: [(&str, &str); 2] =
    [("owner", "page-password"), ("backup-agent", "repository-password")];

/// The folder in which a user's password stands: its service's; the admin is used by `init`.
fn folder_of(user: &str) -> &str {
    if user == contracts::access::ADMIN.user { "init" } else { user }
}

/// Makes `secrets/` in `data`, each missing secret, the users of nats-server, and the backup
/// agent's copy of the `.env` in `root`.
pub(crate) fn prepare(root: &Folder, data: &Folder, owner: Owner, report: &mut Report) {
    let Some(secrets) = top(data, "secrets", FOLDER_MODE, owner, report) else { return };
    let mut users = Vec::new();
    for role in &ROLES {
        let password = folder(&secrets, folder_of(role.user), owner, report)
            .and_then(|folder| secret(&folder, NATS_PASSWORD, owner, report));
        users.extend(password.map(|password| User::of(role, password)));
    }
    for (name, file) in OTHERS {
        if let Some(folder) = folder(&secrets, name, owner, report) {
            secret(&folder, file, owner, report);
        }
    }
    if let Some(folder) = folder(&secrets, contracts::access::BACKUP_AGENT.user, owner, report) {
        env_copy::prepare(root, &folder, owner, report);
    }
    // With a user missing, the file of the last run is better than a smaller one.
    if users.len() == ROLES.len()
        && let Some(folder) = folder(&secrets, "nats", owner, report)
    {
        write_users(&folder, &users, owner, report);
    }
}

fn folder(secrets: &Folder, name: &str, owner: Owner, report: &mut Report) -> Option<Folder> {
    top(secrets, name, FOLDER_MODE, owner, report)
}

/// The secret in a file, which is made where it is missing.
fn secret(folder: &Folder, name: &str, owner: Owner, report: &mut Report) -> Option<String> {
    let path = folder.path_of(name);
    let fresh = hex::encode(rand::random::<[u8; SECRET_BYTES]>());
    let there = report.take(&path, "read it", folder.read(name))?;
    if there.is_none() {
        let written = folder.write(name, &format!("{fresh}\n"), (owner, FILE_MODE), false);
        if report.take(&path, "write it", written)? {
            report.did(format!("{} generated", path.display()));
        }
    }
    let text = report.take(&path, "read it", folder.read(name))?.unwrap_or_default();
    let text = text.trim().to_owned();
    if let Some(why) = users::unfit(&text) {
        report.fault(
            &path,
            words(
                format!("holds no usable secret: it {why}"),
                "には、使える秘密の文字列が入っていません",
            ),
            words(
                "delete the file; the next run generates a new one",
                "このファイルを消してください。次に動かしたときに、新しく作ります",
            ),
        );
        return None;
    }
    keep_private(folder, name, owner, report);
    Some(text)
}

/// A secret that came from elsewhere (a copied folder) is made private again.
fn keep_private(folder: &Folder, name: &str, owner: Owner, report: &mut Report) {
    let path = folder.path_of(name);
    let Some(stat) = report.take(&path, "look at it", folder.look_at(name)) else { return };
    if kind(&stat) != rustix::fs::FileType::RegularFile {
        return;
    }
    if (stat.st_uid, stat.st_gid) != (owner.uid, owner.gid) {
        report.take(&path, "own it", folder.own_name(name, Some(owner.uid), Some(owner.gid)));
    }
    if mode(&stat) != FILE_MODE {
        report.take(&path, "set its mode", folder.set_mode_of(name, FILE_MODE));
    }
}

/// Whether certificate and key lie beside the users; one without the other is a fault.
fn speaks_tls(folder: &Folder, owner: Owner, report: &mut Report) -> bool {
    let there = [users::CERTIFICATE, users::KEY].map(|name| folder.look_at(name).is_ok());
    match there {
        [true, true] => {
            keep_private(folder, users::CERTIFICATE, owner, report);
            keep_private(folder, users::KEY, owner, report);
            true
        }
        [false, false] => false,
        [certificate, _key] => {
            let missing = if certificate { users::KEY } else { users::CERTIFICATE };
            report.fault(
                &folder.path_of(missing),
                words(
                    "is missing: certificate and key go together",
                    "がありません。証明書と鍵は、両方そろえてください",
                ),
                words(
                    "put both there, or take the other away to go on without TLS",
                    "両方を置くか、もう片方を取りのぞいて TLS なしにしてください",
                ),
            );
            false
        }
    }
}

fn write_users(folder: &Folder, users: &[User], owner: Owner, report: &mut Report) {
    let path = folder.path_of(USERS);
    let mut text = users::configuration(users);
    if speaks_tls(folder, owner, report) {
        text.push_str(&users::encryption(SECRETS_IN_CONTAINER));
    }
    let Some(there) = report.take(&path, "read it", folder.read(USERS)) else { return };
    if there.as_deref() == Some(text.as_str()) {
        keep_private(folder, USERS, owner, report);
        return;
    }
    let written = folder.write(USERS, &text, (owner, FILE_MODE), true);
    if report.take(&path, "write it", written).is_some() {
        report.did(format!("{} written", path.display()));
        if there.is_some() {
            report.did("nats-server must be restarted to take the users up".to_owned());
        }
    }
}
