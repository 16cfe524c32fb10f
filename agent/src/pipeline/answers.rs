//! An answer from Loki: what is answered for moves the positions, the rest is tried again by `send::deliver`.

use super::Pipeline;
use crate::send::answer;
use crate::sources::file::disk::Disk;
use crate::types::part::Part;
use crate::types::request::{Answer, Verdict};
use crate::types::time::Now;
use std::time::Duration;

/// Label sets that were refused together are sent apart for so long.
const ALONE: Duration = Duration::from_secs(60);

impl<D: Disk> Pipeline<D> {
    /// Takes in an answer.
    pub fn answered(&mut self, answer: &Answer, now: Now) {
        self.metrics.push_requests.add(&[&answer.status.to_string()], 1);
        self.metrics.push_seconds.observe(answer.took);
        let verdict = answer::read(answer.status, &answer.body);
        if matches!(verdict, Verdict::Stored | Verdict::PartlyRefused(_)) {
            self.linger.pushed(answer.took);
        }
        let batch = &self.batch;
        let texts = |id| batch.text(id);
        let effects = self.delivery.answered(answer.id, answer.status, verdict, answer.retry_after, now.mono, &texts);
        for split in &effects.splits {
            self.tracker.split(split.from, split.into, &split.shares);
        }
        for refusal in &effects.refused {
            self.metrics.refused_entries.add(&[refusal.reason], refusal.entries);
            let words = answer.body.get(..300.min(answer.body.len())).unwrap_or(&answer.body);
            let message = format!("Loki refused {} entries ({}): {words}", refusal.entries, refusal.reason);
            self.report(format!("refused {}", refusal.reason), &message, now);
        }
        let until_ms = u64::try_from((now.mono + ALONE).as_millis()).unwrap_or(u64::MAX);
        for label_set in effects.alone {
            self.batch.send_alone(label_set, until_ms);
        }
        if let Some(trouble) = effects.trouble {
            self.report("delivery".to_owned(), &format!("cannot deliver to Loki: {trouble}"), now);
            self.trouble = Some(trouble);
        }
        if self.delivery.held_label_sets() == 0 {
            self.trouble = None;
        }
        for part in effects.answered {
            self.settle(part, now);
        }
    }

    fn settle(&mut self, part: Part, now: Now) {
        self.tracker.answered(part.id, &part.shares);
        let lag = u64::try_from(now.wall_ns.saturating_sub(part.oldest_ns)).unwrap_or(0);
        self.metrics.delivery_lag_seconds.observe(Duration::from_nanos(lag));
        self.batch.recycle(part.entries);
        self.saving.touch(now);
    }
}
