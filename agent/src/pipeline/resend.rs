//! Whether a record of a log file went out before a restart, and with which time: what is sent again must be the same.
//!
//! In: what the journal says, where the record stands, its labels. Out: the time that it had. Never: a guess; where that is
//! not known the record is a new one.

use super::containers::StreamState;
use crate::handover::fingerprint::Fingerprint;
use crate::types::entry::Record;
use crate::types::position::{FileId, Mark, StdStream};
use crate::types::saved::{Recovered, WentAhead};

/// A record, and what is known of the time before the restart.
pub(super) struct Before<'a> {
    pub(super) recovered: &'a Recovered,
    pub(super) stream: &'a StreamState,
    pub(super) std_stream: StdStream,
    pub(super) start: Mark,
}

impl Before<'_> {
    /// The time with which it went out under these labels, where it did. `alone_ns`, the time that it has unless another
    /// is noted, is taken away where its time has to be noted in any case.
    pub(super) fn time(
        &self,
        whole: &Record<'_>,
        alone_ns: &mut Option<i64>,
        file: impl Fn() -> Option<FileId>,
        labels: impl Fn() -> u64,
    ) -> Option<i64> {
        if let Some(ahead) = self.ahead(whole) {
            if ahead.labels == labels() {
                return Some(ahead.time_ns);
            }
            // Whether it went out under these as well is not told by what stands before and after it: it may have been
            // answered for.
            *alone_ns = None;
        }
        self.stream.resend_until.filter(|until| self.start.at <= *until)?;
        let (file, labels, offset) = (file()?, labels(), self.start.at.offset);
        let sent = self.recovered.sent.get(&(file, self.std_stream, labels))?;
        let noted_ns = self.recovered.moved.get(&(file, self.std_stream, labels, offset)).copied();
        noted_ns.or(*alone_ns).filter(|_| sent.iter().any(|offsets| offsets.contains(&offset)))
    }

    /// How it went out ahead of its file, where it did.
    fn ahead(&self, whole: &Record<'_>) -> Option<WentAhead> {
        if self.start.stream_position >= self.stream.recovered_ahead_to {
            return None;
        }
        let place = (self.stream.instance, self.std_stream, self.start.stream_position);
        let ahead = self.recovered.ahead.get(&place).copied();
        ahead.filter(|ahead| ahead.hash == Fingerprint::of(whole).hash)
    }
}
