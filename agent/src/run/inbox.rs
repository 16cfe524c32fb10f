//! What others have to tell the data threads, and how they wake them.

use crate::types::pod::PodSnapshot;
use crate::types::request::Answer;
use crate::types::view::StreamView;
use rustix::event::{EventfdFlags, eventfd};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::mpsc::{Receiver as QueueReceiver, SyncSender, sync_channel};
use tokio::sync::{mpsc, oneshot, watch};

/// Messages that may wait: answers are as many as requests under way, the rest is rare.
const MESSAGES_MAX: usize = 64;

/// A message for the data thread.
#[derive(Debug)]
pub(super) enum Inbox {
    /// From Loki.
    Answer(Answer),
    /// `/streams` was asked for.
    Streams(oneshot::Sender<Vec<StreamView>>),
    /// The pods have changed.
    Pods,
    /// A token, password or certificate for Loki has changed.
    LokiFiles,
    /// Flush and end; the second one means at once.
    Stop,
}

/// Puts messages in and wakes the data thread.
#[derive(Clone, Debug)]
pub(super) struct Sender {
    queue: SyncSender<Inbox>,
    bell: Arc<OwnedFd>,
}

impl Sender {
    /// Blocks only while the data thread has more messages waiting than it can ever get at once.
    pub(super) fn put(&self, message: Inbox) {
        if self.queue.send(message).is_ok() {
            self.ring();
        }
    }

    /// Wakes the data thread.
    pub(super) fn ring(&self) {
        // A counter that is full has rung already.
        let _rung = rustix::io::write(&self.bell, &1_u64.to_ne_bytes());
    }
}

/// The data thread's end.
#[derive(Debug)]
pub(super) struct Receiver {
    queue: QueueReceiver<Inbox>,
    bell: Arc<OwnedFd>,
}

impl Receiver {
    /// The next message, if there is one.
    pub(super) fn take(&self) -> Option<Inbox> {
        self.queue.try_recv().ok()
    }

    /// Readable while there may be messages; [`Receiver::quiet`] takes that back.
    pub(super) fn bell(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }

    /// Call before the messages are taken.
    pub(super) fn quiet(&self) {
        let _nothing_rung = rustix::io::read(&self.bell, &mut [0; 8]);
    }
}

/// For each data thread a bounded queue with a bell.
pub(super) fn channels(threads: usize) -> io::Result<(Senders, Vec<Receiver>)> {
    let (mut senders, mut receivers) = (Vec::new(), Vec::new());
    for _ in 0..threads {
        let bell = Arc::new(eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?);
        let (sender, receiver) = sync_channel(MESSAGES_MAX);
        senders.push(Sender { queue: sender, bell: Arc::clone(&bell) });
        receivers.push(Receiver { queue: receiver, bell });
    }
    Ok((Senders(senders), receivers))
}

/// The data threads' inboxes.
#[derive(Clone, Debug)]
pub(super) struct Senders(pub(super) Vec<Sender>);

impl Senders {
    /// To each of them.
    pub(super) fn put(&self, message: impl Fn() -> Inbox) {
        self.0.iter().for_each(|sender| sender.put(message()));
    }

    /// Wakes all of them.
    pub(super) fn ring(&self) {
        self.0.iter().for_each(Sender::ring);
    }
}

/// Passes on what the admin server asks, and puts the answers together.
pub(super) async fn forward_streams(mut asked: mpsc::Receiver<oneshot::Sender<Vec<StreamView>>>, senders: Senders) {
    while let Some(answer) = asked.recv().await {
        let mut parts = Vec::new();
        for sender in &senders.0 {
            let (part, told) = oneshot::channel();
            sender.put(Inbox::Streams(part));
            parts.push(told);
        }
        tokio::spawn(async move {
            let mut all = Vec::new();
            for part in parts {
                // A data thread that ends has none any more.
                all.extend(part.await.unwrap_or_default());
            }
            StreamView::sort(&mut all);
            // Nobody may wait for it any more.
            drop(answer.send(all));
        });
    }
}

/// Tells of new pods.
pub(super) async fn forward_pods(mut pods: watch::Receiver<Arc<PodSnapshot>>, senders: Senders) {
    while pods.changed().await.is_ok() {
        senders.put(|| Inbox::Pods);
    }
}
