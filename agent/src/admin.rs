//! admin: `/metrics`, `/healthz`, `/readyz`, `/streams`.
//!
//! In: HTTP requests, and what [`AdminState`] gives. Out: answers, each within seconds also where the data thread
//! is stuck or where silent clients take all places. Never: a change to anything, more than
//! `limits::ADMIN_CONNECTIONS_MAX` connections, or one that lasts longer than `limits::ADMIN_CONNECTION_TIME_MAX`.

mod page;

use crate::clock::Clock;
use crate::health::Health;
use crate::limits::{ADMIN_CONNECTION_TIME_MAX, ADMIN_CONNECTIONS_MAX, ADMIN_HEAD_TIME_MAX};
use crate::metrics::Metrics;
use crate::types::view::StreamView;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{AbortHandle, JoinSet};

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
    let mut places = Places::default();
    loop {
        match listener.accept().await {
            Ok((socket, _)) => {
                places.make_room().await;
                places.take(socket, Arc::clone(&state));
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection to the admin server");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// The connections, oldest first.
#[derive(Debug, Default)]
struct Places {
    tasks: JoinSet<()>,
    taken: VecDeque<Place>,
}

#[derive(Debug)]
struct Place {
    task: AbortHandle,
    /// Its request is there.
    has_asked: Arc<AtomicBool>,
}

impl Places {
    async fn make_room(&mut self) {
        while self.tasks.try_join_next().is_some() {}
        self.taken.retain(|place| !place.task.is_finished());
        while self.taken.len() >= ADMIN_CONNECTIONS_MAX {
            let silent = self.taken.iter().position(|place| !place.has_asked.load(Ordering::Relaxed));
            if let Some(place) = silent.and_then(|at| self.taken.remove(at)) {
                place.task.abort();
            } else {
                self.tasks.join_next().await;
                self.taken.retain(|place| !place.task.is_finished());
            }
        }
    }

    fn take(&mut self, socket: TcpStream, state: Arc<AdminState>) {
        let has_asked = Arc::new(AtomicBool::new(false));
        let connection = connection(socket, state, Arc::clone(&has_asked));
        let task = self.tasks.spawn(async move {
            let _ = tokio::time::timeout(ADMIN_CONNECTION_TIME_MAX, connection).await;
        });
        self.taken.push_back(Place { task, has_asked });
    }
}

/// One request: clients come every few seconds at most, and a connection that ends cannot be left open.
async fn connection(socket: TcpStream, state: Arc<AdminState>, has_asked: Arc<AtomicBool>) {
    let service = service_fn(move |request| {
        has_asked.store(true, Ordering::Relaxed);
        let state = Arc::clone(&state);
        async move { Ok::<_, Infallible>(page::answer(&request, &state).await) }
    });
    let mut server = http1::Builder::new();
    server.keep_alive(false).timer(TokioTimer::new()).header_read_timeout(ADMIN_HEAD_TIME_MAX);
    // An error here is the client's: it went away, does not speak HTTP or says nothing.
    let _ = server.serve_connection(TokioIo::new(socket), service).await;
}

#[cfg(test)]
mod tests;
