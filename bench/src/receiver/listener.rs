//! The listener: takes connections while the gate is open, and closes everything when it is not.
//!
//! In: a bound socket. Out: one task per connection, ended with the listener. After a closed gate it listens on the
//! same port again. It never looks into a request.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::http;
use super::shared::{Gate, Shared};

/// Another process may hold the port for a moment.
const BIND_AGAIN: Duration = Duration::from_millis(20);

/// Serves until the gate says stopped.
pub(crate) async fn serve(shared: Arc<Shared>, listener: TcpListener, addr: SocketAddr) {
    let mut gate = shared.gate.subscribe();
    let mut connections = JoinSet::new();
    let mut listener = Some(listener);
    loop {
        let now = *gate.borrow_and_update();
        if now != Gate::Open {
            listener = None;
            connections.shutdown().await;
            if now == Gate::Stopped || gate.changed().await.is_err() {
                return;
            }
            continue;
        }
        let Some(open) = &listener else {
            match TcpListener::bind(addr).await {
                Ok(again) => listener = Some(again),
                Err(e) => {
                    tracing::warn!("listening on {addr} again: {e}; trying on");
                    tokio::time::sleep(BIND_AGAIN).await;
                }
            }
            continue;
        };
        tokio::select! {
            accepted = open.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connection(Arc::clone(&shared), stream, shared.gate.subscribe()));
                }
                Err(e) => tracing::warn!("accepting a connection on {addr}: {e}"),
            },
            changed = gate.changed() => if changed.is_err() { return },
            _ = connections.join_next(), if !connections.is_empty() => {}
        }
    }
}

async fn connection(shared: Arc<Shared>, stream: TcpStream, mut gate: watch::Receiver<Gate>) {
    // Latency is measured through here; a socket without it works all the same.
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request| http::handle(Arc::clone(&shared), request));
    let serving = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        // A client that hangs up, or a fault that closes the connection: either is its own business.
        _ = serving => {}
        _ = gate.wait_for(|gate| *gate != Gate::Open) => {}
    }
}
