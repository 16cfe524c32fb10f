//! Labels with a closed set of values: those that a metric shows at zero from the start.

/// A label of a metric.
pub trait Label: Copy + 'static {
    /// Every value, in the order of [`Label::index`].
    const ALL: &'static [Self];
    /// As exported.
    fn value(self) -> &'static str;
    /// The place in [`Label::ALL`].
    fn index(self) -> usize;
}

macro_rules! label {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $value:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)*
        }

        impl Label for $name {
            const ALL: &'static [Self] = &[$(Self::$variant,)*];
            fn value(self) -> &'static str {
                match self { $(Self::$variant => $value,)* }
            }
            fn index(self) -> usize {
                self as usize
            }
        }
    };
}

label! {
    /// The witness that a line came from.
    Source {
        /// The log file.
        File = "file",
        /// The kernel.
        Ebpf = "ebpf",
    }
}

label! {
    /// Which witness of a std stream is shipped.
    Mode {
        /// The file.
        File = "file",
        /// The kernel, confirmed by the file.
        Ahead = "ahead",
        /// The kernel alone.
        Alone = "alone",
    }
}

label! {
    /// Why bytes, or files to their end, were given up.
    DropReason {
        /// Beyond `backlog_bytes_max`.
        Backlog = "backlog",
        /// Their pod did not become known.
        NoMetadata = "no_metadata",
        /// The file could not be read.
        Unreadable = "unreadable",
        /// The file was truncated before they were read.
        Truncated = "truncated",
        /// The file went while the agent was stopped; of files that came and went then, only their number is known.
        Gone = "gone",
        /// NUL bytes that a crash of the node left in the file.
        Hole = "hole",
        /// Captured while the file stood still, and no room was left to keep them until they could be shipped alone.
        WindowFull = "window_full",
        /// Loki understood no request with the entry in it.
        NotUnderstood = "not_understood",
        /// Too large for Loki, or for what stands before it, even alone.
        TooLarge = "too_large",
    }
}

label! {
    /// Why the whole log directory was looked at.
    RescanWhy {
        /// The agent started.
        Start = "start",
        /// It is done every so often.
        Interval = "interval",
        /// The kernel lost notices.
        Overflow = "overflow",
        /// The kernel would not watch a directory.
        WatchRefused = "watch_refused",
    }
}

label! {
    /// The kernel hook in use.
    Hook {
        /// None: file only.
        None = "none",
        /// fentry and fexit on the pipe's read function.
        Fentry = "fentry",
        /// BTF tracepoint.
        TpBtf = "tp_btf",
        /// Raw tracepoint.
        RawTp = "raw_tp",
        /// kprobe and kretprobe.
        Kprobe = "kprobe",
    }
}
