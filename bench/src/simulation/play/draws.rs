//! What a seed draws before anything happens: how its node, its kernel, its Loki and its agent are.
//!
//! In: the seed's random numbers. Out: manners and odds. Never: anything that happens.

use super::{Kernel, Manners, Node, Setup, Trouble, Witnesses};
use crate::simulation::kernel::Odds;
use penstock::config::{LineForm, Source};
use penstock::limits::{LOOK_AGAIN, MEMORY_BYTES_MIN, REQUESTS_IN_FLIGHT};
use penstock::pipeline::Settings;
use penstock::types::shard::Shard;
use std::collections::BTreeMap;
use std::time::Duration;

fn some(random: &mut fastrand::Rng, share: f64, value: f64) -> f64 {
    if random.f64() < share { value } else { 0.0 }
}

/// What is wrong with the disk.
pub(super) fn trouble(random: &mut fastrand::Rng) -> Trouble {
    Trouble {
        folder_refused: some(random, 0.1, 0.4),
        file_refused: some(random, 0.15, 0.4),
        overflow: some(random, 0.2, 0.1),
        read_error: some(random, 0.1, 0.02),
    }
}

/// How containers write, and their runtime. `is_steady`: so that most lines can go ahead of their files.
pub(super) fn writers(node: &mut Node, is_steady: bool, random: &mut fastrand::Rng) {
    node.stamp_ns = [1, 1, 1, 1_000_000, 1_000_000_000][random.usize(..5)];
    node.tick_share = some(random, 0.5, 0.2);
    node.odd_share = some(random, 0.2, 0.1);
    node.poison_share = some(random, 0.15, 0.01);
    node.line_bytes_max = [20, 120, 120, 2_000, 8_000][random.usize(..5)];
    if node.book.has_kernel {
        node.is_steady = is_steady;
        let lags_ms = if is_steady { [2, 10, 100, 100] } else { [0, 0, 2, 10] };
        node.lag_max = Duration::from_millis(lags_ms[random.usize(..4)]);
    }
}

/// How Loki behaves.
pub(super) fn manners(random: &mut fastrand::Rng) -> Manners {
    Manners {
        trouble: [0.0, 0.05, 0.3][random.usize(..3)],
        stores_and_fails: random.u8(..3) == 0,
        refuses: random.u8(..3) == 0,
        slowness: Duration::from_millis([1, 50, 2_000][random.usize(..3)]),
    }
}

/// The kernel, and what goes wrong there.
pub(super) fn kernel(witnesses: Witnesses, is_steady: bool, random: &mut fastrand::Rng) -> Kernel {
    let mut kernel = Kernel::new(random.u64(..));
    kernel.is_on = witnesses == Witnesses::Both;
    kernel.odds = Odds {
        full: some(random, 0.3, 0.05),
        unseen: some(random, 0.3, 0.05),
        skipped: some(random, 0.2, 0.01),
        late: some(random, 0.5, 0.5),
        delay_ms: if is_steady { [0, 0, 0, 20] } else { [0, 0, 1, 20] }[random.usize(..4)],
    };
    kernel
}

/// How the agent is set up.
pub(super) fn setup(is_steady: bool, random: &mut fastrand::Rng) -> Setup {
    let source = |name: &str, source: Source| (name.to_owned(), source);
    let labels = BTreeMap::from([
        source("namespace", Source::PodNamespace),
        source("app", Source::PodLabel("app".to_owned())),
        source("level", Source::JsonLevel),
    ]);
    let structured_metadata =
        BTreeMap::from([source("pod", Source::PodName), source("container", Source::ContainerName)]);
    // Lines go ahead while there is room.
    let sizes = [64 * 1024, MEMORY_BYTES_MIN, 64 * 1024 * 1024, 64 * 1024 * 1024, 64 * 1024 * 1024];
    let memory_bytes_max = sizes[random.usize(..if is_steady { sizes.len() } else { 3 })];
    let rate = [100_000, 30 * 1024 * 1024][random.usize(..2)];
    let settings = Settings {
        node_name: "node".to_owned(),
        labels,
        structured_metadata,
        line: LineForm::Compact,
        memory_bytes_max,
        burst: [200_000, 60 * 1024 * 1024][random.usize(..2)],
        batch_bytes: [1_000, 20_000, 1024 * 1024][random.usize(..3)],
        linger_max: Duration::from_millis([0, 100, 1_000][random.usize(..3)]),
        requests_in_flight: REQUESTS_IN_FLIGHT,
        look_again: LOOK_AGAIN,
        shard: Shard::WHOLE,
        seed: random.u64(..),
    };
    let backlog_bytes_max = if random.u8(..6) == 0 { 3_000 } else { u64::MAX / 4 };
    Setup { settings, rate, backlog_bytes_max, journal_bytes_max: [500, 5_000, 4 * 1024 * 1024][random.usize(..3)] }
}
