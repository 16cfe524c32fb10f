//! A data thread: steps its pipeline, sleeps until there is something to do.

use super::inbox::{Inbox, Receiver};
use super::outside::Shell;
use crate::clock::Clock;
use crate::health::Health;
use crate::pipeline::Pipeline;
use crate::sources::ebpf::EbpfSource;
use crate::sources::ebpf::shared::SharedTap;
use crate::sources::file::os::OsDisk;
use crate::types::pod::PodSnapshot;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tracing::{info, warn};

/// The longest sleep, so that the heartbeat shows life.
const SLEEP_MAX: Duration = Duration::from_secs(1);
/// What of the grace period is kept for the last save.
const SAVE_TIME: Duration = Duration::from_secs(1);

/// Everything a data thread owns.
pub(super) struct DataThread {
    /// Its place among the data threads.
    pub(super) index: usize,
    pub(super) pipeline: Pipeline<OsDisk, SharedTap<EbpfSource>>,
    /// The kernel's ring, to sleep on.
    pub(super) ring: Option<OwnedFd>,
    pub(super) shell: Shell,
    pub(super) receiver: Receiver,
    pub(super) pods: watch::Receiver<Arc<PodSnapshot>>,
    pub(super) health: Arc<Health>,
    pub(super) clock: Clock,
    pub(super) grace: Duration,
}

impl DataThread {
    /// Until it is told to stop and everything is sent, or the grace period is over.
    pub(super) fn run(mut self) -> anyhow::Result<()> {
        let mut stops = 0;
        let mut end_at = Duration::MAX;
        let mut trouble = None;
        loop {
            self.receiver.quiet();
            let now = self.clock.now();
            while let Some(message) = self.receiver.take() {
                match message {
                    Inbox::Answer(answer) => self.pipeline.answered(&answer, now),
                    // Nobody waits for it any more.
                    Inbox::Streams(answer) => drop(answer.send(self.pipeline.streams())),
                    Inbox::Pods => self.take_pods(),
                    Inbox::LokiFiles => self.pipeline.loki_may_be_mended(now),
                    Inbox::Stop => {
                        stops += 1;
                        self.pipeline.stop();
                        end_at = end_at.min(now.mono + self.grace.saturating_sub(SAVE_TIME.min(self.grace / 2)));
                    }
                }
            }
            self.pipeline.step(now, &mut self.shell);
            self.health.beat(self.index, now.mono);
            if self.pipeline.trouble() != trouble.as_deref() {
                trouble = self.pipeline.trouble().map(ToOwned::to_owned);
                self.health.set_trouble(self.index, trouble.clone());
            }
            let now = self.clock.now();
            if stops > 0 && (self.pipeline.is_settled() || now.mono >= end_at || stops > 1) {
                return self.end();
            }
            let until_end = end_at.saturating_sub(now.mono);
            let sleep = self.pipeline.wait(now).min(SLEEP_MAX).min(until_end);
            if !sleep.is_zero() {
                self.sleep(sleep)?;
            }
        }
    }

    fn sleep(&mut self, time: Duration) -> anyhow::Result<()> {
        let bell = self.receiver.bell();
        // A busy ring is looked at when its time has come; asking it to call would cost the kernel more than that.
        let ring = self.ring.as_ref().filter(|_| self.pipeline.is_ring_quiet()).map(AsFd::as_fd);
        let others: Vec<_> = [Some(bell), ring].into_iter().flatten().collect();
        self.pipeline.disk().wait(&others, time)?;
        if let Some(trouble) = self.pipeline.tap().and_then(|tap| tap.with(EbpfSource::take_trouble)) {
            warn!("kernel source: {trouble}");
        }
        Ok(())
    }

    fn take_pods(&mut self) {
        let snapshot = Arc::clone(&self.pods.borrow_and_update());
        self.pipeline.pods_changed(&snapshot, self.clock.now());
        self.health.set_pods_known();
    }

    fn end(mut self) -> anyhow::Result<()> {
        if self.pipeline.is_settled() {
            info!("everything that was read is delivered");
        } else {
            warn!("not everything could be delivered in time; it is sent after the next start");
        }
        let unplaced = self.pipeline.unplaced_lines();
        if unplaced > 0 {
            warn!(
                "{unplaced} lines were delivered that their log files have not shown (is the runtime's disk full?); if they \
                 do, these lines are sent a second time after the next start"
            );
        }
        self.pipeline.save(self.clock.now(), true, &mut self.shell);
        self.shell.storage.end();
        Ok(())
    }
}
