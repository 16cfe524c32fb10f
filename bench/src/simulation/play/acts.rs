//! What happens next: the seed draws an action, and it is done to the node, to Loki or to the agent.

use super::Play;
use penstock::limits::MEMORY_BYTES_MIN;
use std::time::Duration;

impl Play {
    /// Something happens.
    pub(super) fn act(&mut self) {
        let at = self.random.usize(..self.node.containers.len());
        let drawn = self.random.u8(..100);
        let what = if self.node.is_steady && self.random.u8(..4) > 0 { 0 } else { drawn };
        let (clock, lines) = (self.clock, self.node.book.lines.len());
        self.node.book.tell(|| format!("{clock:?} action {what} on container {at}; {lines} lines"));
        match what {
            0..70 => self.node.write(at, self.clock),
            // A line let go for memory is lost, and counted, where its file went meanwhile.
            70..78 if self.setup.settings.memory_bytes_max >= MEMORY_BYTES_MIN => self.node.rotate(at, self.clock),
            78..84 => self.node.close_old(at),
            84..87 if self.random.bool() => self.node.end(at),
            87..90 => self.node.restart(at),
            90 if self.setup.settings.memory_bytes_max >= MEMORY_BYTES_MIN => {
                self.node.copy_and_truncate(at, self.clock)
            }
            91 => self.step_clock(),
            92..95 => self.upset_loki(),
            95 => self.stop_agent(),
            96 if self.crashes && self.life.is_some() => self.crash(),
            97 if self.pods.len() < 5 => self.add_pod(),
            98 => self.change_pod(),
            99 => self.delete_pod(),
            _ => {}
        }
    }

    fn step_clock(&mut self) {
        let step_s = [-5, -1, 1, 5, -90, 90][self.random.usize(..6)];
        self.step_ns += step_s * 1_000_000_000;
    }

    fn upset_loki(&mut self) {
        let status = [0, 401, 260, 500][self.random.usize(..4)];
        self.loki.down = Some((self.clock + Duration::from_millis(self.random.u64(10..20_000)), status));
    }

    fn stop_agent(&mut self) {
        if let Some(life) = &mut self.life
            && self.stopping.is_none()
        {
            life.pipeline.stop();
            self.stopping = Some(self.clock + Duration::from_secs(19));
        }
    }

    fn change_pod(&mut self) {
        let pod = self.random.usize(..self.pods.len());
        if self.random.bool() {
            self.pods[pod].app = format!("app{}", self.random.u8(..4));
            self.node.book.relabelled.insert(pod);
        }
        self.snapshot_due = true;
    }

    fn delete_pod(&mut self) {
        let pod = self.random.usize(..self.pods.len());
        if self.pods.len() > 1 && !self.pods[pod].is_deleted && self.pods[pod].known_at <= self.clock {
            self.pods[pod].is_deleted = true;
            self.node.delete_pod(pod);
            if !self.life.as_ref().is_some_and(|life| life.told.contains(&pod)) {
                self.node.book.excuse_pod(pod);
            }
            self.snapshot_due = true;
        }
    }
}
