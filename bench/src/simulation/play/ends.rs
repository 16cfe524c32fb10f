//! The end of a seed: all is well and quiet, everything drains, and the rules are checked.

use super::{DRAIN_MAX, Life, Manners, Outcome, Play, Trouble, rules};
use crate::simulation::lines::Excuse;
use crate::simulation::rules::Allowed;
use penstock::limits::{MEMORY_BYTES_MIN, RESCAN_INTERVAL};
use std::time::Duration;

/// While all is well a line is stored within this time and its linger: a look at a file, an answer.
const SOON: Duration = Duration::from_secs(3);

impl Play {
    /// All is well from now on; until everything is dealt with.
    pub(super) fn drain(&mut self) -> Result<(), String> {
        self.crashes = false;
        self.loki.down = None;
        self.loki.manners = Manners { slowness: Duration::from_millis(20), ..Manners::default() };
        self.fs.borrow_mut().trouble = Trouble::default();
        self.node.finish_lines();
        if let Some(life) = &mut self.life {
            life.way.dies_in = None;
        }
        let end = self.clock + DRAIN_MAX;
        let mut quiet = 0;
        while quiet < 3 {
            self.run_until(self.clock + Duration::from_secs(5))?;
            if self.life.is_none() && self.clock >= self.up_at + Duration::from_secs(60) {
                return Err("the agent does not start".to_owned());
            }
            let is_done = self.is_drained();
            quiet = if is_done { quiet + 1 } else { 0 };
            if self.clock >= end {
                return self.stuck();
            }
        }
        Ok(())
    }

    /// Goes on writing and rotating, slowly, with all well: each line is stored soon, not by the next slow look.
    pub(super) fn stay_prompt(&mut self) -> Result<(), String> {
        // Where memory is short, one line follows the other, each with its linger.
        let settings = &self.setup.settings;
        let may_rotate = settings.memory_bytes_max >= MEMORY_BYTES_MIN;
        let soon = SOON + settings.linger_max * u32::try_from(self.node.containers.len()).unwrap_or(u32::MAX);
        // What was refused while all was not well is asked for again by then.
        self.run_until(self.clock + RESCAN_INTERVAL + Duration::from_secs(5))?;
        for round in 0..3 {
            for at in 0..self.node.containers.len() {
                if round > 0 && may_rotate && self.random.bool() {
                    self.node.rotate(at, self.clock);
                }
            }
            let quiet = Duration::from_millis(self.random.u64(1_000..5_000));
            self.run_until(self.clock + quiet)?;
            for at in 0..self.node.containers.len() {
                self.node.write_line(at);
            }
            self.run_until(self.clock + soon)?;
            if !self.is_drained() {
                return Err(format!("all is well, but within {soon:?}, round {round}, {}", self.open_lines()));
            }
        }
        Ok(())
    }

    fn is_drained(&self) -> bool {
        let Some(life) = &self.life else { return false };
        let is_settled =
            life.pipeline.is_settled() && life.pipeline.streams().iter().all(|stream| stream.lag_bytes == 0);
        let book = &self.node.book;
        let all = (0..book.lines.len()).all(|line| book.is_settled(line) || !book.lines[line].is_complete);
        is_settled && all && rules::have_ticks_arrived(book, &self.loki) && self.clock > Duration::from_secs(40)
    }

    fn stuck(&self) -> Result<(), String> {
        Err(self.open_lines())
    }

    fn open_lines(&self) -> String {
        let book = &self.node.book;
        let open: Vec<usize> =
            (0..book.lines.len()).filter(|line| !book.is_settled(*line) && book.lines[*line].is_complete).collect();
        let first = open.first().map(|line| {
            let line = &book.lines[*line];
            format!("{:?} in file {:?}", line.start, line.start.map(|(file, _)| &book.files[file].folder))
        });
        let lag: u64 = self.life.iter().flat_map(|life| life.pipeline.streams()).map(|stream| stream.lag_bytes).sum();
        let settled = self.life.as_ref().is_some_and(|life| life.pipeline.is_settled());
        let number = open.first();
        format!(
            "not drained: {} lines are open, the first {number:?} {first:?}; lag {lag}, settled {settled}",
            open.len()
        )
    }

    pub(super) fn verdict(&mut self) -> Result<Outcome, String> {
        if let Some(mut life) = self.life.take() {
            // What an end would tell now.
            self.unconfirmed += life.pipeline.unplaced_lines() as u64;
            self.gone(&life);
        }
        let book = &self.node.book;
        if !book.has_died && book.came_otherwise > self.unconfirmed {
            return Err(format!("{} lines came again otherwise, {} counted", book.came_otherwise, self.unconfirmed));
        }
        let doubles = book.has_died || book.is_loose || self.loki.has_stored_silently;
        if self.refused_counted < self.loki.refused && !self.node.book.has_died {
            return Err(format!("{} entries were refused, {} counted", self.loki.refused, self.refused_counted));
        }
        let allowed = Allowed { doubles, labels_changed: !self.node.book.relabelled.is_empty() };
        rules::at_end(&self.node.book, &self.loki, allowed)?;
        let lines = &self.node.book.lines;
        Ok(Outcome {
            lines: lines.len(),
            doubled: lines.iter().filter(|line| line.arrivals > 1).count(),
            excused: lines
                .iter()
                .filter(|line| line.stored.is_none() && line.excuse.is_some_and(|excuse| excuse != Excuse::Refused))
                .count(),
            restarts: self.restarts,
            ahead: self.ahead,
            unconfirmed: self.unconfirmed,
        })
    }
}

/// Entries that an agent counted as refused, for whatever reason.
pub(super) fn refused(life: &Life) -> u64 {
    let reasons =
        penstock::send::answer::refusals::REASONS.iter().chain(&["not_understood", "too_large", "server_error"]);
    reasons.map(|reason| life.metrics.refused_entries.get(&[reason])).sum()
}
