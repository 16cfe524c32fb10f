//! Every limit in one place: value, unit, reason, and what happens when it is hit.

use std::time::Duration;

/// Bytes of a line as sent. Loki's `max_line_size` (256 KB = 262,144); longer ones are cut, marked and counted.
pub const LINE_BYTES_MAX: usize = 262_144;
/// Bytes of a line that are kept while it is open: what can be sent, and enough to know that it is longer.
pub const LINE_KEPT_BYTES_MAX: usize = LINE_BYTES_MAX + 1;
/// Labels of a Loki stream, `level` among them. Loki's `max_label_names_per_series`; checked at start.
pub const LABELS_MAX: usize = 15;
/// Bytes of a label name. Loki's `max_label_name_length`; checked at start.
pub const LABEL_NAME_BYTES_MAX: usize = 1_024;
/// Bytes of a label value. Loki's `max_label_value_length`; longer ones are cut at a UTF-8 boundary.
pub const LABEL_VALUE_BYTES_MAX: usize = 2_048;
/// Characters of a value of `level` that becomes a label; others stay in the line alone.
pub const LEVEL_BYTES_MAX: usize = 16;
/// Different values of `level` per container that become a label, so that a container cannot make streams
/// without end; more are counted and not labelled.
pub const LEVELS_PER_CONTAINER_MAX: usize = 16;
/// Bytes of a trace id (unescaped); longer ones are left in the line alone.
pub const TRACE_ID_BYTES_MAX: usize = 256;

/// How far a record's own time may be before the runtime's. Loki accepts an hour out of order; half is margin.
pub const OWN_TIME_BEHIND_MAX: Duration = Duration::from_secs(30 * 60);
/// How far it may be after the runtime's: Loki's 10 minutes less a margin for clocks that differ.
pub const OWN_TIME_AHEAD_MAX: Duration = Duration::from_secs(10 * 60 - 30);
/// A runtime's time that goes back by less than this is lifted; more is a clock step and is followed.
pub const CLOCK_STEP_MIN: Duration = Duration::from_secs(60);
/// Entries per label set, at the least, that a new one is compared with so that no two are equal in label
/// set, time and text. 8 to 16 bytes each.
pub const DEDUP_ENTRIES_MIN: usize = 4_096;

/// Bytes of a request before compression. Two limits of 4 MiB stand in front of Loki's ingester; more is split.
pub const REQUEST_BYTES_MAX: usize = 3_584 * 1024;
/// Bytes kept of an answer's body; Loki names ten entries at most.
pub const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// How long an answer may take before the request counts as failed.
pub const PUSH_TIMEOUT: Duration = Duration::from_secs(30);
/// Pushes under way at once, of disjoint label sets.
pub const REQUESTS_IN_FLIGHT_MAX: usize = 4;
/// How far the std streams of one label set may run apart while catching up: Loki refuses what is an hour
/// behind the newest of the label set.
pub const CATCH_UP_SPREAD_MAX: Duration = Duration::from_secs(15 * 60);

/// Bytes read from one file before the next has its turn.
pub const BLOCK_BYTES: usize = 256 * 1024;
/// A file that has not grown for so long has no writer any more, where nothing else tells.
pub const FILE_QUIET: Duration = Duration::from_secs(10);
/// How long a file waits for its pod to become known; then its bytes are dropped as `no_metadata`.
pub const METADATA_WAIT: Duration = Duration::from_secs(600);
/// The first bytes of a file that tell it from others; CRI lines begin with a time in nanoseconds.
pub const IDENTITY_BYTES: usize = 256;
/// The slow look at every directory, a safety net below inotify.
pub const RESCAN_INTERVAL: Duration = Duration::from_secs(30);

/// From an answer to the write of the positions.
pub const CHECKPOINT_DELAY: Duration = Duration::from_millis(50);
/// From one sync of the positions to disk to the next.
pub const CHECKPOINT_SYNC_INTERVAL: Duration = Duration::from_secs(3);
/// The agent's own repeated errors are logged once in this time, with a count.
pub const OWN_LOG_INTERVAL: Duration = Duration::from_secs(60);
