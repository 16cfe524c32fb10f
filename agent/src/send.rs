//! send: the way to Loki and back.
//!
//! In: encoded [`Request`]s from a bounded channel, as many at once as come (their sender limits that). Out: one
//! [`Answer`] for each, in the order in which they come in. Never: a second try, a look into a body, or a
//! request without an answer.
//!
//! - `answer` says what an answer means (pure),
//! - `deliver` decides what goes when, what an answer means for its parts, and what is tried again (pure),
//! - `pace` is the token bucket (pure),
//! - `http` is the client,
//! - `credentials`, `tls` and `files` are what it takes from files that change,
//! - `told` says its errors in words.

pub mod answer;
pub mod deliver;
pub mod http;
pub mod pace;

mod credentials;
mod files;
mod tls;
mod told;

use crate::clock::Clock;
use crate::types::request::{Answer, Request};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use http::Client;
use tokio::sync::mpsc;

/// Sends what comes until the channel is closed and everything is answered. To stop at once, drop the future:
/// the requests under way are broken off without an answer.
///
/// `on_answer` is called on this task and must not block.
pub async fn run(client: Client, mut requests: mpsc::Receiver<Request>, on_answer: impl Fn(Answer)) {
    let clock = Clock::start();
    let mut under_way = FuturesUnordered::new();
    let mut is_open = true;
    while is_open || !under_way.is_empty() {
        tokio::select! {
            request = requests.recv(), if is_open => match request {
                Some(request) => under_way.push(answered(&client, clock, request)),
                None => is_open = false,
            },
            Some(answer) = under_way.next() => on_answer(answer),
        }
    }
}

async fn answered(client: &Client, clock: Clock, request: Request) -> Answer {
    let sent = clock.now().mono;
    let reply = client.push(request.body).await;
    let took = clock.now().mono.saturating_sub(sent);
    Answer { id: request.id, status: reply.status, body: reply.body, retry_after: reply.retry_after, took }
}

#[cfg(test)]
mod tests;
