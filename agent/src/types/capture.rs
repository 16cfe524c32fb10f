//! sources::ebpf → handover: what left a pipe, and which pipes there are.

use super::position::StdStream;

/// Names one following of one pipe. Never given twice, so that what an earlier follower of the same inode left in the
/// ring is recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Cookie(pub u64);

/// Bytes that left a pipe, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fragment<'a> {
    /// Of which following.
    pub cookie: Cookie,
    /// Bytes that had left the pipe before these, since it is followed. More than what came so far: a gap of just that
    /// many bytes.
    pub sequence: u64,
    /// Nothing had ever left the pipe before these.
    pub is_first: bool,
    /// Bytes left the pipe unseen before these, nobody knows how many.
    pub is_gap_before: bool,
    /// When the first of these bytes left the pipe, nanoseconds since the Unix epoch.
    pub read_ns: i64,
    /// When the pipe was last written to before that, nanoseconds since the Unix epoch, where it is known.
    pub written_ns: Option<i64>,
    /// The bytes.
    pub bytes: &'a [u8],
}

/// Whose log a pipe's bytes end in, as far as that is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// This container instance.
    Instance {
        /// `NAMESPACE_POD_UID`
        pod_folder: String,
        /// Container name.
        container: String,
        /// Restart counter.
        restart: u32,
    },
    /// Some container of this pod; its content says which.
    Pod {
        /// As in the name of the pod's log folder.
        uid: String,
    },
}

/// A pipe that is followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pipe {
    /// Its following.
    pub cookie: Cookie,
    /// Whose it is.
    pub owner: Owner,
    /// The std stream it must be: the container's first process has different pipes at its descriptors 1 and 2, and this
    /// is one of them. `None` where only the content can say.
    pub std_stream: Option<StdStream>,
}

/// What happened to the pipes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PipeEvent {
    /// It is followed from now on. Fragments of it may come before this.
    Found(Pipe),
    /// Nothing more comes from it.
    Gone(Cookie),
    /// The kernel skipped runs of a program: bytes of any pipe may be missing in what came since the last such event.
    Skipped,
}
