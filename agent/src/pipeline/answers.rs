//! An answer from Loki: what is answered for moves the positions, the rest is tried again by `send::deliver`.

use super::Pipeline;
use crate::limits::LAG_MAX;
use crate::metrics::label::DropReason;
use crate::send::answer;
use crate::send::deliver::{Effects, SetAside, Trouble};
use crate::sources::ebpf::tap::Tap;
use crate::sources::file::disk::Disk;
use crate::types::part::Part;
use crate::types::request::{Answer, Refusal, Verdict};
use crate::types::time::Now;
use std::time::Duration;
use tracing::{info, warn};

/// Label sets that were refused together are sent apart for so long.
const ALONE: Duration = Duration::from_secs(60);

impl<D: Disk, T: Tap> Pipeline<D, T> {
    /// Takes in an answer.
    pub fn answered(&mut self, answer: &Answer, now: Now) {
        self.metrics.push_requests.add(&[&answer.status.to_string()], 1);
        self.metrics.push_seconds.observe(answer.took);
        let verdict = answer::read(answer.status, &answer.body);
        if matches!(verdict, Verdict::Stored | Verdict::PartlyRefused(_) | Verdict::EntriesIgnored { .. }) {
            self.linger.pushed(answer.took);
        }
        let batch = &self.batch;
        let texts = |id| batch.text(id);
        let effects = self.delivery.answered(answer.id, answer.status, verdict, answer.retry_after, now.mono, &texts);
        for split in &effects.splits {
            self.tracker.split(split.from, split.into, &split.shares);
        }
        self.tell_refused(&effects, &answer.body, now);
        let until_ms = u64::try_from((now.mono + ALONE).as_millis()).unwrap_or(u64::MAX);
        for label_set in effects.alone {
            self.batch.send_alone(label_set, until_ms);
        }
        self.tell_trouble(effects.trouble.as_ref(), answer.status, now);
        for part in effects.answered {
            self.settle(&part, now);
        }
    }

    /// What is needed to talk to Loki has changed: what is held back may pass now.
    pub fn loki_may_be_mended(&mut self, now: Now) {
        self.delivery.open(now.mono);
    }

    fn tell_refused(&mut self, effects: &Effects, body: &str, now: Now) {
        let words = answer::quote(body);
        for Refusal { reason, entries } in &effects.refused {
            self.metrics.refused_entries.add(&[reason], *entries);
            let message = match effects.set_aside {
                Some(SetAside { label_set, line_bytes }) => {
                    let why = if *reason == "too_large" { DropReason::TooLarge } else { DropReason::NotUnderstood };
                    self.metrics.dropped_bytes.add(why, line_bytes);
                    let labels = answer::quote(self.batch.text(label_set));
                    format!(
                        "an entry of {labels}, a line of {line_bytes} bytes, is given up ({reason}): even alone it is \
                         refused: {words}; {}",
                        remedy(why)
                    )
                }
                None => format!("Loki refused {entries} entries ({reason}): {words}"),
            };
            self.report(format!("refused {reason}"), &message, now);
        }
    }

    /// Each kind of trouble once a minute, and once that all is well again.
    fn tell_trouble(&mut self, trouble: Option<&Trouble>, status: u16, now: Now) {
        if let Some(Trouble { kind, words }) = trouble {
            let suppressed = self.repeats.report(format!("delivery {status} {kind:?}"), now.mono);
            self.is_trouble_told |= suppressed.is_some();
            match suppressed {
                Some(0) => warn!("cannot deliver to Loki: {words}"),
                Some(suppressed) => warn!(suppressed, "cannot deliver to Loki: {words}"),
                None => {}
            }
        }
        if self.is_trouble_told && self.delivery.trouble().is_none() {
            self.is_trouble_told = false;
            info!("delivery to Loki is well again");
        }
    }

    fn settle(&mut self, part: &Part, now: Now) {
        self.tracker.answered(part.id, &part.shares);
        let lag = u64::try_from(now.wall_ns.saturating_sub(part.oldest_ns)).unwrap_or(0);
        let lag = Duration::from_nanos(lag);
        if lag <= LAG_MAX {
            self.metrics.delivery_lag_seconds.observe(lag);
        }
        self.saving.touch(now);
    }
}

fn remedy(why: DropReason) -> &'static str {
    match why {
        DropReason::TooLarge => "raise the limit that refuses it: that of the gateway before Loki, or of gRPC in Loki",
        _ => "check the labels in the configuration, and what stands between here and Loki",
    }
}
