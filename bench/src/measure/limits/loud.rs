//! A container that writes a great deal: its log file grows without a process, pipe and runtime, which would need more of the
//! machine than the agent.
//!
//! In: an open log file, bytes a second. Out: lines appended, and how many. Never: a line of a time that is not now.

use crate::clock;
use crate::producer::lines::{Kind, LineMaker};
use crate::runtime::stamp::Stamp;
use anyhow::{Result, anyhow};
use std::fs::File;
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// From one append to the next.
const TURN: Duration = Duration::from_millis(10);

/// It writes until it is stopped.
pub(super) struct Loud {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<u64>>,
}

impl Loud {
    /// Begins. `lines_per_s`: of this kind.
    pub(super) fn start(mut file: File, kind: Kind, seed: u64, lines_per_s: f64) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let is_stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let (mut maker, mut stamp) = (LineMaker::new(kind, seed, "loud"), Stamp::default());
            let (begun, mut lines, mut block, mut last_ns) = (clock::monotonic(), 0, Vec::new(), 0);
            while !is_stopped.load(Ordering::Relaxed) {
                std::thread::sleep(TURN);
                let due = ((clock::monotonic() - begun).as_secs_f64() * lines_per_s) as u64;
                block.clear();
                while lines < due {
                    lines += 1;
                    last_ns = clock::wall_ns().max(last_ns + 1);
                    stamp.write(last_ns, &mut block);
                    block.extend_from_slice(b" stdout F ");
                    maker.next(last_ns, 0, &mut block);
                }
                file.write_all(&block)?;
            }
            Ok(lines)
        });
        Self { stop, thread }
    }

    /// Ends it. Lines written.
    ///
    /// # Errors
    /// The file could not be written.
    pub(super) fn stop(self) -> Result<u64> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| anyhow!("the loud container's thread panicked"))?
    }
}
