//! admin: `/metrics`, `/healthz`, `/readyz`, `/streams`.
//!
//! In: HTTP requests, and what [`AdminState`] gives. Out: answers, each within seconds also where the data thread
//! is stuck. Never: a change to anything, more than `limits::ADMIN_CONNECTIONS_MAX` connections, or one that
//! lasts longer than `limits::ADMIN_CONNECTION_TIME_MAX`.

mod page;

use crate::clock::Clock;
use crate::health::Health;
use crate::limits::{ADMIN_CONNECTION_TIME_MAX, ADMIN_CONNECTIONS_MAX};
use crate::metrics::Metrics;
use crate::types::view::StreamView;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::JoinSet;

/// What the pages are made of.
#[derive(Debug)]
pub struct AdminState {
    /// `/metrics`.
    pub metrics: Arc<Metrics>,
    /// `/healthz`, `/readyz`.
    pub health: Arc<Health>,
    /// `/streams`: the data thread answers each with all its std streams.
    pub streams: mpsc::Sender<oneshot::Sender<Vec<StreamView>>>,
    /// The clock by which `health` is told the time.
    pub clock: Clock,
}

/// Why the admin server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// Something else listens there.
    #[error("listening on {0} (admin): it is in use; stop what listens there, or set another address as `admin`")]
    InUse(SocketAddr),
    /// Anything else that the system says.
    #[error("listening on {0} (admin): {1}; set an address of this machine and a free port as `admin`")]
    Listen(SocketAddr, io::Error),
}

/// Listens on `address`.
///
/// # Errors
/// It is in use or not to be had; a retry helps only once that has changed.
pub async fn bind(address: SocketAddr) -> Result<TcpListener, AdminError> {
    TcpListener::bind(address).await.map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => AdminError::InUse(address),
        _ => AdminError::Listen(address, error),
    })
}

/// Answers until the future is dropped, which closes every connection.
pub async fn serve(listener: TcpListener, state: Arc<AdminState>) -> Infallible {
    serve_within(listener, state, ADMIN_CONNECTION_TIME_MAX).await
}

async fn serve_within(listener: TcpListener, state: Arc<AdminState>, time_max: Duration) -> Infallible {
    let places = Arc::new(Semaphore::new(ADMIN_CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        // The semaphore is never closed; without a place the connection is not accepted.
        let place = Arc::clone(&places).acquire_owned().await;
        match listener.accept().await {
            Ok((socket, _)) => {
                let state = Arc::clone(&state);
                connections.spawn(async move {
                    let _place = place;
                    let _ = tokio::time::timeout(time_max, connection(socket, state)).await;
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection to the admin server");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
        while connections.try_join_next().is_some() {}
    }
}

/// One request: clients come every few seconds at most, and a connection that ends cannot be left open.
async fn connection(socket: TcpStream, state: Arc<AdminState>) {
    let service = service_fn(move |request| {
        let state = Arc::clone(&state);
        async move { Ok::<_, Infallible>(page::answer(&request, &state).await) }
    });
    // An error here is the client's: it went away or does not speak HTTP.
    let _ = http1::Builder::new().keep_alive(false).serve_connection(TokioIo::new(socket), service).await;
}

#[cfg(test)]
mod tests;
