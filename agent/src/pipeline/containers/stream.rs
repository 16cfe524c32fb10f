//! What is known of one std stream of a container: how far it is read, what went out, who ships it.

use crate::framing::join::Joiner;
use crate::handover::pending::Sent;
use crate::handover::stream::Handover;
use crate::types::capture::Cookie;
use crate::types::part::{LabelSetId, PartId};
use crate::types::position::{FilePosition, Mark, StreamKey};
use std::collections::VecDeque;
use std::time::Duration;

/// A record with a moved time.
#[derive(Clone, Copy, Debug)]
pub(in crate::pipeline) struct Moved {
    pub(in crate::pipeline) at: FilePosition,
    pub(in crate::pipeline) time_ns: i64,
    pub(in crate::pipeline) label_set: LabelSetId,
    pub(in crate::pipeline) part: PartId,
}

/// What is known of one std stream.
#[derive(Debug)]
pub(in crate::pipeline) struct StreamState {
    pub(in crate::pipeline) key: StreamKey,
    pub(in crate::pipeline) joiner: Joiner,
    /// Lines that start before this were dealt with.
    pub(in crate::pipeline) skip_until: FilePosition,
    /// Of the next record of its files.
    pub(in crate::pipeline) stream_position: u64,
    /// The last time given, 0 if none.
    pub(in crate::pipeline) last_time_ns: i64,
    /// The time given to the last record that its files showed: not the last one where others went out ahead.
    pub(in crate::pipeline) file_time_ns: i64,
    /// How the journal names its container instance.
    pub(in crate::pipeline) instance: u64,
    /// Who ships.
    pub(in crate::pipeline) handover: Handover,
    /// The pipe that it is.
    pub(in crate::pipeline) pipe: Option<Cookie>,
    /// When its place in the file may be looked for again (monotonic), and how often that was in vain.
    pub(in crate::pipeline) try_at: Duration,
    pub(in crate::pipeline) tries: u32,
    /// Stream position of the next line that goes out ahead.
    pub(in crate::pipeline) ahead_position: u64,
    /// Lines shipped ahead that the files showed, until that is saved.
    pub(in crate::pipeline) confirmed: VecDeque<Sent>,
    /// Lines before this stream position may have gone out ahead before a restart.
    pub(in crate::pipeline) recovered_ahead_to: u64,
    /// Of these, what was answered for.
    pub(in crate::pipeline) answered_ahead: u64,
    /// Records up to this one may have been handed to the sender before a restart.
    pub(in crate::pipeline) resend_until: Option<FilePosition>,
    /// Its open line is being read again after it was let go.
    pub(in crate::pipeline) is_reread: bool,
    /// The first and the last record handed to the sender, per label set, for the journal.
    pub(in crate::pipeline) sent: Vec<(LabelSetId, [FilePosition; 2])>,
    /// So many of these are of labels that changed since: records in between may go out under others.
    pub(in crate::pipeline) sent_closed: usize,
    /// The first record that was not answered for when the positions were last saved.
    pub(in crate::pipeline) saved_to: Mark,
    /// Records with moved times that may not be in the saved positions yet.
    pub(in crate::pipeline) moved: Vec<Moved>,
    pub(in crate::pipeline) lines: u64,
    pub(in crate::pipeline) bytes: u64,
}

impl StreamState {
    /// Everything needed to go on from `at`, where the next record of its files starts.
    pub(in crate::pipeline) fn mark(&self, at: FilePosition) -> Mark {
        let last_time_ns = self.file_time_ns;
        Mark { at, stream_position: self.stream_position, last_time_ns, ahead: 0 }
    }

    /// Forgets what went out under labels that changed, where all of it is before `at`.
    pub(in crate::pipeline) fn forget_sent(&mut self, at: FilePosition) {
        let open = self.sent.split_off(self.sent_closed);
        self.sent.retain(|(_, [_, last])| *last >= at);
        self.sent_closed = self.sent.len();
        self.sent.extend(open);
    }
}
