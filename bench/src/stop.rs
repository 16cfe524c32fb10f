//! Ctrl-C and SIGTERM as a flag, so that a chore ends in order: containers first, then the tally.
//!
//! In: signals. Out: a flag that stays set. Never: an end of the process by itself.

use anyhow::Result;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// A flag that SIGINT and SIGTERM set from now on.
///
/// # Errors
/// Those of the system.
pub fn on_signal() -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&stop))?;
    }
    Ok(stop)
}
