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

/// Runs of equal entries (same text, moved to the nanoseconds after one time) per label set whose end is remembered at
/// the least, so that the search for a free nanosecond begins there; the runs that have not grown for longest are
/// forgotten. About 40 bytes each, two generations.
pub const DEDUP_RUNS_MIN: usize = 1_024;

/// Bytes of a request before compression. Two limits of 4 MiB stand in front of Loki's ingester; more is split.
pub const REQUEST_BYTES_MAX: usize = 3_584 * 1024;
/// Bytes kept of an answer's body; Loki names ten entries at most.
pub const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// How long an answer may take before the request counts as failed.
pub const PUSH_TIMEOUT: Duration = Duration::from_secs(30);
/// The longest wait that a header `Retry-After` can ask for; a larger one counts as this.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(10 * 60);
/// Pushes under way at once, of disjoint label sets, unless `loki.requests_in_flight` says otherwise.
pub const REQUESTS_IN_FLIGHT: usize = 4;
/// The largest `loki.requests_in_flight` that is accepted: each may hold a batch in memory.
pub const REQUESTS_IN_FLIGHT_MAX: usize = 32;
/// How far the std streams of one label set may run apart while catching up: Loki refuses what is an hour
/// behind the newest of the label set.
pub const CATCH_UP_SPREAD_MAX: Duration = Duration::from_secs(15 * 60);

/// Bytes read from one file before the next has its turn.
pub const BLOCK_BYTES: usize = 256 * 1024;
/// A file that has not grown for so long has no writer any more, where nothing else tells.
pub const FILE_QUIET: Duration = Duration::from_secs(10);
/// From the appearance of a new log file to the moment its runtime has certainly flushed its half line into the one
/// before and closed it, where the closing was not seen.
pub const ROTATION_FLUSH: Duration = Duration::from_secs(1);
/// From the moment a container's last file is closed until its unfinished last line is shipped: a runtime that is
/// restarted opens the file again within that time.
pub const INSTANCE_END_GRACE: Duration = Duration::from_secs(10);
/// A file or a ring that had something new is looked at again after this time, instead of asking for word of it, unless
/// `performance.look_again` says otherwise.
pub const LOOK_AGAIN: Duration = Duration::from_millis(1);
/// Looks at busy files in each `performance.look_again`: with more files than that, each is looked at more rarely.
pub const LOOKS_AT_ONCE: u32 = 8;
/// How many times `performance.look_again` a busy file waits at most for its next look.
pub const LOOK_STRETCH_MAX: u32 = 16;
/// A look that found this much may be followed by one twice as late, and so on.
pub const LOOK_BYTES: usize = 8 * 1024;
/// How many times as late at most, for that reason.
pub const LOOK_BYTES_STRETCH_MAX: u32 = 4;
/// The longest `performance.look_again` that is accepted: a ring of 1 MiB is full after 35 ms at 30 MB/s.
pub const LOOK_AGAIN_MAX: Duration = Duration::from_millis(100);
/// The largest `performance.threads` that is accepted.
pub const THREADS_MAX: usize = 16;
/// Looks without anything new after which a file is left until there is word of its growth.
pub const LOOKS_IN_VAIN_MAX: u32 = 2;
/// How long a file waits for its pod to become known; then its bytes are dropped as `no_metadata`.
pub const METADATA_WAIT: Duration = Duration::from_secs(600);
/// Bytes of a file's first line that are enough to tell it from others, mostly: CRI lines begin with their time.
pub const IDENTITY_BYTES: usize = 1_024;
/// Of a longer first line so many bytes count: docker's lines, of up to about 100 KiB, end with their time.
pub const IDENTITY_BYTES_MAX: usize = 128 * 1_024;
/// From the moment a file is finished, deleted and answered for until it is forgotten: a copy of it (copytruncate, gzip)
/// is found by the second slow look at the latest, and would be taken for a new file then.
pub const COPY_FOUND_WITHIN: Duration = Duration::from_secs(2 * RESCAN_INTERVAL.as_secs() + 1);
/// The slow look at every directory, a safety net below inotify.
pub const RESCAN_INTERVAL: Duration = Duration::from_secs(30);

/// A lag above this is none: the runtime's time is wrong, or what was written long ago is caught up. It is not observed.
pub const LAG_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// From an answer to the write of the positions.
pub const CHECKPOINT_DELAY: Duration = Duration::from_millis(80);
/// From one sync of the positions to disk to the next.
pub const CHECKPOINT_SYNC_INTERVAL: Duration = Duration::from_secs(3);
/// Bytes of a file with saved positions: 250 containers need less than 1 MiB. A larger one is set aside as damaged, unread.
pub const POSITIONS_FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Bytes of saved positions, unpacked. What is beyond it is not unpacked, and so the file counts as damaged.
pub const POSITIONS_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Bytes of the journal that are read at start: fingerprints of a thousand label sets are 64 MiB. What is beyond it counts
/// as damaged.
pub const JOURNAL_BYTES_MAX: u64 = 128 * 1024 * 1024;
/// The agent's own repeated errors are logged once in this time, with a count.
pub const OWN_LOG_INTERVAL: Duration = Duration::from_secs(60);

/// A data thread that has given no sign for so long counts as stuck, and `/healthz` fails.
pub const HEARTBEAT_AGE_MAX: Duration = Duration::from_secs(10);
/// How long `/streams` waits for the data thread; then it answers 503.
pub const STREAMS_WAIT: Duration = Duration::from_secs(2);
/// Connections to the admin server at once; for one more the oldest that has not asked yet is closed, and where all have,
/// it waits.
pub const ADMIN_CONNECTIONS_MAX: usize = 32;
/// From the accept of an admin connection to the end of its request's head, with room for a lost packet; then it is
/// closed.
pub const ADMIN_HEAD_TIME_MAX: Duration = Duration::from_secs(2);
/// From the accept of an admin connection to its end, whatever the client does; then it is closed.
pub const ADMIN_CONNECTION_TIME_MAX: Duration = Duration::from_secs(10);

/// Pairs of structured metadata per entry. Loki's `max_structured_metadata_entries_count`; checked at start.
pub const METADATA_PAIRS_MAX: usize = 128;
/// The smallest `memory_bytes_max` that is accepted: a few requests, open lines and file blocks have to fit.
pub const MEMORY_BYTES_MIN: u64 = 8 * 1024 * 1024;
/// The longest `linger_max` that is accepted; beyond it an idle node's lines would look lost.
pub const LINGER_MAX: Duration = Duration::from_secs(60);

/// Kinds of the agent's own messages whose last logging is remembered; beyond it the oldest is forgotten, and
/// may be logged twice in a minute.
pub const OWN_LOG_KEYS_MAX: usize = 256;

/// The first question to the Kubernetes API comes at a random moment within this, so that the nodes of a fleet
/// do not all ask at once.
pub const API_START_JITTER_MAX: Duration = Duration::from_secs(2);
/// After a failed call to the Kubernetes API: doubled with each failure in a row, half of it random.
pub const API_RETRY_MIN: Duration = Duration::from_millis(500);
/// The longest pause after failed calls to the Kubernetes API.
pub const API_RETRY_MAX: Duration = Duration::from_secs(30);
/// The pause where the API refuses who we are (401, 403): nobody but an operator can mend that.
pub const API_REFUSED_RETRY: Duration = Duration::from_secs(60);
/// Until a connection to the Kubernetes API must stand.
pub const API_CONNECT_MAX: Duration = Duration::from_secs(10);
/// A watch that was taken up again and has not failed for so long is well, though nothing was heard: more
/// than `API_CONNECT_MAX`.
pub const API_SETTLED: Duration = Duration::from_secs(15);
/// A watch ends by itself after so long, and is taken up again where it was.
pub const API_WATCH_TIMEOUT: Duration = Duration::from_secs(290);
/// Without a byte from the Kubernetes API for so long the connection counts as dead: more than
/// `API_WATCH_TIMEOUT`.
pub const API_SILENCE_MAX: Duration = Duration::from_secs(310);
/// Failures in a row after which the connection to the Kubernetes API is set up from its configuration anew.
pub const API_FAILURES_MAX: u32 = 5;
/// From one write of the known pods to the next; what changed in between is written then.
pub const KNOWN_PODS_INTERVAL: Duration = Duration::from_secs(5);
/// Bytes of the known pods, unpacked, and of a static pod file: a thousand pods are some MiB. What is beyond
/// it is not read, and so the file counts as damaged.
pub const POD_FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// From one look at the static pod file to the next.
pub const STATIC_POLL_INTERVAL: Duration = Duration::from_secs(1);

/// How long a log file may be at rest while complete lines were captured; then they are shipped without it.
pub const FILE_AT_REST: Duration = Duration::from_secs(2);
/// Lines of a std stream that were shipped ahead and that its file has not shown yet, 56 bytes each; beyond it the file
/// ships, or, where the file is at rest, the oldest counts as not confirmed.
pub const PENDING_LINES_MAX: usize = 65_536;
/// A line shipped ahead that the file has not shown, though it shows lines this much later, will not come.
pub const UNSEEN_AFTER: Duration = Duration::from_secs(10);

/// Bytes taken out of the ring before files and answers are looked at again.
pub const CAPTURED_BYTES_PER_TURN: usize = 64 * 1024 * 1024;
/// Bytes of captured lines that one pipe keeps, at the least and at the most, until their place in the file is known or
/// the file is at rest; the oldest are forgotten first. All pipes share an eighth of `memory_bytes_max`.
pub const WINDOW_BYTES_MIN: usize = 4 * 1024;
/// See [`WINDOW_BYTES_MIN`].
pub const WINDOW_BYTES_MAX: usize = 512 * 1024;
/// What comes of a pipe before it is known whose it is is kept for so long.
pub const UNKNOWN_PIPE_KEPT: Duration = Duration::from_secs(10);
/// A std stream whose place in the file was not certain is looked at again after this time, doubled with each failure.
pub const ALIGN_AGAIN_MIN: Duration = Duration::from_millis(1);
/// The longest such time.
pub const ALIGN_AGAIN_MAX: Duration = Duration::from_millis(500);

/// The pauses between looks for pipes after word of a new container, so that its pipes are known within 100 ms of its
/// start: its log file is made before its first process is.
pub const PIPE_LOOKS_AFTER_WORD: [Duration; 14] = {
    let ms = Duration::from_millis;
    [ms(10), ms(20), ms(30), ms(40), ms(50), ms(50), ms(50), ms(50), ms(50), ms(50), ms(50), ms(50), ms(50), ms(50)]
};
/// How often one looks for pipes without word: 1 to 2 microseconds of CPU for each process of the node.
pub const PIPE_LOOK_INTERVAL: Duration = Duration::from_secs(2);
/// How often each process is read again, in case its number was given to another: about 10 microseconds each.
pub const PIPE_FULL_LOOK_INTERVAL: Duration = Duration::from_secs(10);
/// The least pause between two looks, however often there is word.
pub const PIPE_LOOK_PAUSE: Duration = Duration::from_millis(5);
/// Captured bytes that may wait for a data thread after another has taken them out of the ring; with more of them it learns that
/// bytes are missing, and takes them from the file.
pub const LANE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Events of pipes that may wait for the data thread; with more of them nobody looks until it has taken some.
pub const PIPE_EVENTS_MAX: usize = 65_536;
/// Bytes of the kernel's ring, at the least and at the most; between them it is an eighth of `memory_bytes_max`, unless
/// `performance.ring_bytes` says otherwise. What finds no room in it is taken from the file.
pub const RING_BYTES_MIN: u32 = 1 << 20;
/// See [`RING_BYTES_MIN`].
pub const RING_BYTES_MAX: u32 = 64 << 20;
