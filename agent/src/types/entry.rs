//! framing → parse → label → batch: one record on its way to become an entry. And label → parse: what
//! `line: envelope` puts in front of it.

/// A log line with its CRI parts joined. Borrows its bytes from the file block or from the open line.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// The line without its newline and without the carriage returns directly before that, at most
    /// `limits::LINE_KEPT_BYTES_MAX`: of a longer line its beginning.
    pub content: &'a [u8],
    /// Length of the whole line in bytes, counted the same way; more than `content.len()` where that was cut.
    pub full_bytes: u64,
    /// The runtime's time of its first part, nanoseconds since the Unix epoch.
    pub time_ns: i64,
}

/// What the parse room makes of a record: what will be sent, and what became of its parts.
#[derive(Clone, Copy, Debug)]
pub struct Shaped<'a> {
    /// The bytes to send: valid UTF-8, at most `limits::LINE_BYTES_MAX`.
    pub line: &'a [u8],
    /// Nanoseconds since the Unix epoch: the record's own time where that is used, else the runtime's.
    pub time_ns: i64,
    /// Verified value for the label that the configuration takes from `json.level`.
    pub level: Option<&'a str>,
    /// Verified value for the structured metadata taken from `json.trace_id`.
    pub trace_id: Option<&'a str>,
    /// Bytes of the original that were cut off; 0 mostly.
    pub cut_bytes: u64,
    /// The record carried a time that was not used, because it could not be read or was too far off.
    pub is_time_refused: bool,
}

/// A label of a container as it goes into a line under `line: envelope`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvelopeMember {
    /// The label's name.
    pub name: String,
    /// The member as JSON, escaped: `"name":"value"`.
    pub json: String,
}
