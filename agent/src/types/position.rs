//! Where a byte of a std stream is: in which file of its container instance, and at which offset.

/// Stdout or stderr of one container instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum StdStream {
    /// File descriptor 1.
    Stdout,
    /// File descriptor 2.
    Stderr,
}

impl StdStream {
    /// 0 for stdout, 1 for stderr: the place in a pair.
    #[must_use]
    pub const fn index(self) -> usize {
        match self {
            Self::Stdout => 0,
            Self::Stderr => 1,
        }
    }

    /// The word that CRI and docker files use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// Names a log file by content: hash of its folder (relative to the log directory) and its first line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct FileId(pub u64);

/// A place in the files of one container instance. Ordered as the bytes were written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FilePosition {
    /// Number of the file within its container instance, in the order of writing. Not kept over a restart.
    pub file: u32,
    /// Byte offset in that file (of the unpacked bytes where the file is gzipped).
    pub offset: u64,
}

/// Everything needed to go on reading a std stream from a record's first byte.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    /// Where the record's first part starts.
    pub at: FilePosition,
    /// Stream position of the record's first byte: bytes of content and newlines before it.
    pub stream_position: u64,
    /// The last time given before this record, nanoseconds since the Unix epoch; 0 if none.
    pub last_time_ns: i64,
    /// What was shipped ahead of the files is answered for up to this stream position; 0 where nothing was.
    pub ahead: u64,
}

/// Names one std stream while the agent runs. Slots are reused only after everything of the former
/// owner was answered for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamKey(pub u32);
