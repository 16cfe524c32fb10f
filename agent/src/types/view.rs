//! pipeline → admin: what `/streams` shows of a std stream.

/// One std stream of one container instance.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct StreamView {
    /// Namespace of the pod.
    pub namespace: String,
    /// Name of the pod.
    pub pod: String,
    /// Name of the container.
    pub container: String,
    /// Restart count of the container instance.
    pub restart: u32,
    /// `stdout` or `stderr`.
    pub std_stream: &'static str,
    /// Which witness is shipped: `file`, `ahead` or `alone`.
    pub mode: &'static str,
    /// Why that one.
    pub why: String,
    /// Stream position up to which everything was answered for.
    pub position: u64,
    /// Bytes of its file that are not yet answered for.
    pub lag_bytes: u64,
    /// Lines shipped since the agent started.
    pub lines: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl StreamView {
    /// Puts them in the order in which they are shown.
    pub fn sort(views: &mut [Self]) {
        views.sort_by(|a, b| a.order().cmp(&b.order()));
    }

    fn order(&self) -> (&str, &str, &str, u32, &str) {
        (&self.namespace, &self.pod, &self.container, self.restart, self.std_stream)
    }
}
