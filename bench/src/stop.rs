//! Ctrl-C and SIGTERM as a flag, so that a chore ends in order: containers first, then the tally.
//!
//! In: signals. Out: a flag that stays set. Never: an end of the process by itself.

use anyhow::{Result, ensure};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};

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

/// To be called by what waits: a signal that has come since the first call ends the wait, so that what was started is ended too.
/// The second one ends the process at once.
///
/// # Errors
/// A signal has come.
pub fn check() -> Result<()> {
    static ASKED: LazyLock<Option<Arc<AtomicBool>>> = LazyLock::new(|| {
        let asked = Arc::new(AtomicBool::new(false));
        for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
            signal_hook::flag::register_conditional_shutdown(signal, 1, Arc::clone(&asked)).ok()?;
            signal_hook::flag::register(signal, Arc::clone(&asked)).ok()?;
        }
        Some(asked)
    });
    let is_asked = ASKED.as_ref().is_some_and(|asked| asked.load(Ordering::Relaxed));
    ensure!(!is_asked, "stopped by a signal");
    Ok(())
}
