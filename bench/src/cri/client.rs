//! gRPC calls to the runtime service over its unix socket.
//!
//! In: a request message and a method's name. Out: its answer. Never: a retry; never called from async code.

use anyhow::{Context, Result};
use hyper::http::uri::PathAndQuery;
use prost::Message;
use std::path::Path;
use std::time::Duration;
use tokio::runtime::Runtime;
use tonic::client::Grpc;
use tonic::transport::{Channel, Endpoint};
use tonic_prost::ProstCodec;

/// How long a call may take; a pod's start or end under load takes seconds.
const CALL_TIMEOUT: Duration = Duration::from_secs(60);

/// A connection.
#[derive(Debug)]
pub struct Client {
    runtime: Runtime,
    channel: Channel,
}

impl Client {
    /// Connects.
    ///
    /// # Errors
    /// Nobody listens there yet.
    pub fn connect(socket: &Path) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let endpoint = Endpoint::from_shared(format!("unix://{}", socket.display()))?.timeout(CALL_TIMEOUT);
        let channel = runtime.block_on(endpoint.connect());
        let channel = channel.with_context(|| format!("connecting to {}", socket.display()))?;
        Ok(Self { runtime, channel })
    }

    /// Calls a method of `runtime.v1.RuntimeService`.
    ///
    /// # Errors
    /// What the runtime answered, with the method's name.
    pub fn call<Q, A>(&self, method: &str, request: Q) -> Result<A>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        let path = PathAndQuery::try_from(format!("/runtime.v1.RuntimeService/{method}"))?;
        let mut grpc = Grpc::new(self.channel.clone());
        let answer = self.runtime.block_on(async {
            grpc.ready().await.map_err(|error| tonic::Status::unavailable(error.to_string()))?;
            grpc.unary(tonic::Request::new(request), path, ProstCodec::<Q, A>::default()).await
        });
        match answer {
            Ok(answer) => Ok(answer.into_inner()),
            Err(status) => anyhow::bail!("{method}: {}: {}", status.code(), status.message()),
        }
    }
}
