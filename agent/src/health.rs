//! How the agent is: whether its data thread makes progress, whether pods are known, what ails delivery.
//!
//! In: signs of life and news, with the time as an argument. Out: the verdicts of `/healthz` and `/readyz`.
//! Never: a clock read, or a wait beyond a short lock.

use crate::limits::HEARTBEAT_AGE_MAX;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Shared between the data threads, which write, and the admin server, which reads.
#[derive(Debug)]
pub struct Health {
    /// Of each data thread, milliseconds since the agent's start; that start counts as the first sign of life.
    beats_ms: Box<[AtomicU64]>,
    are_pods_known: AtomicBool,
    /// Of each data thread.
    troubles: Mutex<Vec<Option<String>>>,
}

impl Health {
    /// Of an agent with so many data threads.
    #[must_use]
    pub fn new(threads: usize) -> Self {
        Self {
            beats_ms: (0..threads).map(|_| AtomicU64::new(0)).collect(),
            are_pods_known: AtomicBool::new(false),
            troubles: Mutex::new(vec![None; threads]),
        }
    }

    /// The data thread of this place lives: `mono` is the time since the agent's start (`Now::mono`).
    pub fn beat(&self, thread: usize, mono: Duration) {
        if let Some(beat_ms) = self.beats_ms.get(thread) {
            beat_ms.store(u64::try_from(mono.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
        }
    }

    /// The node's pods are known, from their source or from the last run.
    pub fn set_pods_known(&self) {
        self.are_pods_known.store(true, Ordering::Relaxed);
    }

    /// What ails delivery, in words for an operator, as a data thread finds it; `None` when it is well again.
    pub fn set_trouble(&self, thread: usize, trouble: Option<String>) {
        if let Some(slot) = self.troubles.lock().unwrap_or_else(PoisonError::into_inner).get_mut(thread) {
            *slot = trouble;
        }
    }

    /// What ails delivery.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        self.troubles.lock().unwrap_or_else(PoisonError::into_inner).iter().flatten().next().cloned()
    }

    /// `/healthz`: whether every data thread makes progress.
    ///
    /// # Errors
    /// The words for the body.
    pub fn alive(&self, mono: Duration) -> Result<(), String> {
        let oldest_ms = self.beats_ms.iter().map(|beat_ms| beat_ms.load(Ordering::Relaxed)).min().unwrap_or(0);
        let age = mono.saturating_sub(Duration::from_millis(oldest_ms));
        if age > HEARTBEAT_AGE_MAX {
            return Err(format!("a data thread has given no sign of life for {} s", age.as_secs()));
        }
        Ok(())
    }

    /// `/readyz`: whether pods are known and the data thread runs. Trouble with delivery does not count, so that
    /// a roll-out that mends it does not stall; it is in the words.
    ///
    /// # Errors
    /// The words for the body of a refusal; `Ok` holds those of a consent.
    pub fn ready(&self, mono: Duration) -> Result<String, String> {
        let mut lacks: Vec<String> = self.alive(mono).err().into_iter().collect();
        if !self.are_pods_known.load(Ordering::Relaxed) {
            lacks.push("the pods of this node are not known yet".to_owned());
        }
        let trouble = self.trouble().map(|trouble| format!("delivery is in trouble: {trouble}"));
        if lacks.is_empty() {
            return Ok(trouble.unwrap_or_else(|| "ready".to_owned()));
        }
        lacks.extend(trouble);
        Err(lacks.join("\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::Health;
    use std::time::Duration;

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_data_thread_without_a_sign_of_life_is_stuck() {
        let health = Health::new(1);
        assert!(health.alive(at(10)).is_ok(), "it has that long to start");
        assert!(health.alive(at(11)).is_err());
        health.beat(0, at(20));
        assert!(health.alive(at(30)).is_ok());
        assert_eq!(health.alive(at(33)), Err("a data thread has given no sign of life for 13 s".to_owned()));
    }

    #[test]
    fn one_thread_that_is_stuck_is_enough() {
        let health = Health::new(2);
        health.beat(1, at(30));
        assert!(health.alive(at(30)).is_err());
        health.beat(0, at(30));
        assert!(health.alive(at(30)).is_ok());
    }

    #[test]
    fn trouble_with_delivery_is_told_but_does_not_make_unready() {
        let health = Health::new(1);
        assert!(health.ready(at(1)).is_err(), "no pods yet");
        health.set_pods_known();
        assert_eq!(health.ready(at(1)).as_deref(), Ok("ready"));
        health.set_trouble(0, Some("status 401".to_owned()));
        assert_eq!(health.ready(at(1)).as_deref(), Ok("delivery is in trouble: status 401"));
        let stuck = health.ready(at(99)).unwrap_err();
        assert!(stuck.contains("no sign of life") && stuck.contains("401"), "{stuck}");
    }
}
