//! What the receiver takes and what it refuses: Loki's limits.
//!
//! In: nothing. Out: numbers with their units. It never checks anything itself.

/// Limits of Loki 3.5.1 by their name there (`pkg/validation/limits.go` unless said otherwise). The default is Loki's
/// own default but for the four rates, which are those of the deployment that Penstock is made for.
#[derive(Clone, Debug)]
pub struct Limits {
    /// `ingestion_rate_mb`: bytes per second of the tenant, line plus structured metadata. Loki's MB is 2^20.
    pub ingestion_rate: u64,
    /// `ingestion_burst_size_mb`, bytes.
    pub ingestion_burst: u64,
    /// `per_stream_rate_limit`, bytes per second.
    pub per_stream_rate: u64,
    /// `per_stream_rate_limit_burst`, bytes.
    pub per_stream_burst: u64,
    /// `max_global_streams_per_user`.
    pub streams_max: usize,
    /// `max_line_size`, bytes.
    pub line_bytes_max: usize,
    /// `max_label_names_per_series`; `service_name` does not count.
    pub labels_max: usize,
    /// `max_label_name_length`, bytes.
    pub label_name_bytes_max: usize,
    /// `max_label_value_length`, bytes.
    pub label_value_bytes_max: usize,
    /// `max_structured_metadata_size`, bytes of one entry's names and values.
    pub structured_metadata_bytes_max: usize,
    /// `max_structured_metadata_entries_count`.
    pub structured_metadata_pairs_max: usize,
    /// `reject_old_samples_max_age`, seconds.
    pub age_s_max: u64,
    /// `creation_grace_period`, seconds.
    pub ahead_s_max: u64,
    /// Half of the ingester's `max_chunk_age`, seconds behind the newest entry of the stream.
    pub behind_s_max: u64,
    /// `grpc_server_max_recv_msg_size` between distributor and ingester, bytes of the decompressed message.
    pub message_bytes_max: usize,
    /// The same limit on the way out, for 128 entries of a query's answer (Loki answers 500 above it).
    pub query_message_bytes_max: usize,
    /// `max_entries_limit_per_query`.
    pub query_entries_max: usize,
    /// `client_max_body_size` of the gateway in front of Loki, bytes as sent; `None`: no gateway. The chart's is 4 MiB.
    pub gateway_body_bytes_max: Option<usize>,
    /// `shard_streams.desired_rate`, bytes per second and shard (`pkg/distributor/shardstreams/config.go`).
    pub shard_rate: u64,
    /// The receiver's own bound on a decompressed body, bytes (Loki's is 2^31 - 1).
    pub body_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            ingestion_rate: 30 << 20,
            ingestion_burst: 60 << 20,
            per_stream_rate: 30 << 20,
            per_stream_burst: 60 << 20,
            streams_max: 5_000,
            line_bytes_max: 256 << 10,
            labels_max: 15,
            label_name_bytes_max: 1_024,
            label_value_bytes_max: 2_048,
            structured_metadata_bytes_max: 64 << 10,
            structured_metadata_pairs_max: 128,
            age_s_max: 7 * 86_400,
            ahead_s_max: 600,
            behind_s_max: 3_600,
            message_bytes_max: 4 << 20,
            query_message_bytes_max: 4 << 20,
            query_entries_max: 5_000,
            gateway_body_bytes_max: None,
            shard_rate: 1536 << 10,
            body_bytes_max: 256 << 20,
        }
    }
}
