//! The listener, and what to do when its address cannot be had.

use std::io;
use std::net::SocketAddr;

use tokio::net::TcpListener;

use crate::settings::Faults;
use crate::words::Words;

const KEY: &str = "HEALTH_LISTEN";

/// Binds `address`; a failure is a fault that says what to do.
pub(super) async fn bind(address: SocketAddr) -> Result<TcpListener, Faults> {
    TcpListener::bind(address).await.map_err(|error| fault(address, &error))
}

fn fault(address: SocketAddr, error: &io::Error) -> Faults {
    let port = address.port();
    let (problem, remedy): (Words, Words) = match error.kind() {
        io::ErrorKind::AddrInUse => (
            (
                format!("is {address}, but port {port} is already taken by another process"),
                format!("は {address} ですが、ポート {port} は別のプロセスが使っています"),
            )
                .into(),
            (
                format!(
                    "stop that process (`ss -ltnp 'sport = :{port}'` names it), or set {KEY} to a \
                     free port"
                ),
                format!(
                    "そのプロセスを止めるか(`ss -ltnp 'sport = :{port}'` で確認)、{KEY} に別のポートを\
                     指定してください"
                ),
            )
                .into(),
        ),
        io::ErrorKind::PermissionDenied => (
            (
                format!("is {address}, and this user may not listen on port {port}"),
                format!("は {address} ですが、このユーザーはポート {port} を使えません"),
            )
                .into(),
            ("choose a port of 1024 or above", "1024 以上のポートを指定してください").into(),
        ),
        io::ErrorKind::AddrNotAvailable => (
            (
                format!("is {address}, which is not an address of this machine"),
                format!("は {address} ですが、この機器のアドレスではありません"),
            )
                .into(),
            (
                "use 0.0.0.0 for all addresses or 127.0.0.1 for this machine alone",
                "すべてのアドレスなら 0.0.0.0、このマシンだけなら 127.0.0.1 を指定してください",
            )
                .into(),
        ),
        _ => (
            (
                format!("is {address}, where listening fails: {error}"),
                format!("は {address} ですが、待ち受けられません: {error}"),
            )
                .into(),
            ("choose another address", "別のアドレスを指定してください").into(),
        ),
    };
    Faults::one(KEY, problem, remedy)
}
