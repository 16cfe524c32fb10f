//! Why a std stream is in its mode, and what it counts: for `/streams` and the metrics.

use crate::metrics::label::Mode;

/// Why a std stream is in its mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Its place in the file is not known yet.
    Start,
    /// Captured lines were found in the file.
    Aligned,
    /// Both witnesses are known from the first line on.
    FromStart,
    /// The file does not grow.
    AtRest,
    /// The file shows a line, but not those that were captured before it.
    PassedOver,
    /// Captured bytes are missing.
    Gap,
    /// The kernel skipped runs of the program.
    Skipped,
    /// The file shows another line than was captured.
    Mismatch,
    /// The file shows a line that was not captured.
    Unseen,
    /// Nothing comes from the pipe any more.
    PipeGone,
    /// The memory budget is used up, or the lines of others are waited for.
    Held,
    /// Too many lines wait for the file.
    WindowFull,
}

impl Why {
    /// As in the label of the metric.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Aligned => "aligned",
            Self::FromStart => "from_start",
            Self::AtRest => "file_at_rest",
            Self::PassedOver => "passed_over",
            Self::Gap => "gap",
            Self::Skipped => "skipped_runs",
            Self::Mismatch => "mismatch",
            Self::Unseen => "unseen_line",
            Self::PipeGone => "pipe_gone",
            Self::Held => "held",
            Self::WindowFull => "window_full",
        }
    }
}

/// What happened since the last look, for the metrics.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Lines shipped ahead that the file showed.
    pub confirmed: u64,
    /// Lines shipped from the capture that the file did not show.
    pub unconfirmed: u64,
    /// File lines that were not the captured line at their place.
    pub mismatched: u64,
    /// Captured bytes that no witness has any more: forgotten for want of room while the file stood still.
    pub forgotten_bytes: u64,
    /// Changes of the mode.
    pub changes: Vec<(Mode, Why)>,
}
