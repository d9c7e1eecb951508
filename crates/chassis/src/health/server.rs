//! The server that answers probes, and that no open connection can keep from stopping.

use std::io;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// How long connections may finish what they are answering once the server is told to stop.
const DRAIN_MAX: Duration = Duration::from_secs(2);

/// Serves `router` on `listener` until `shutdown`, then gives open requests two seconds and ends
/// whatever is still open, such as an event stream.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let stopped = shutdown.clone().cancelled_owned();
    let server = axum::serve(listener, router).with_graceful_shutdown(stopped);
    let deadline = async {
        shutdown.cancelled().await;
        tokio::time::sleep(DRAIN_MAX).await;
    };
    tokio::select! {
        result = server => result,
        () = deadline => {
            tracing::debug!("connections still open were left to the end of the process");
            Ok(())
        }
    }
}
