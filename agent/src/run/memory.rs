//! How the C library keeps memory that was given back to it.
//!
//! In: nothing. Out: settings of glibc; with another C library nothing. Never: a bound on what the agent itself holds, which is
//! `memory_bytes_max`.

/// What is free at the end of a heap stays there up to this, for the next batch: given back, it would be cleared by the kernel page
/// by page for each request (4 % of the processor time of catching up, `docs/performance.md`).
#[cfg(target_env = "gnu")]
const KEPT_BYTES_MAX: libc::c_int = 8 << 20;
/// What is larger is mapped by itself and goes back at once. Batches are smaller.
#[cfg(target_env = "gnu")]
const MAPPED_BYTES_MIN: libc::c_int = 4 << 20;

/// Call before the threads start.
pub(super) fn keep_for_batches() {
    #[cfg(target_env = "gnu")]
    // SAFETY: takes numbers, and changes when free memory goes back to the system, nothing else.
    unsafe {
        libc::mallopt(libc::M_TRIM_THRESHOLD, KEPT_BYTES_MAX);
        libc::mallopt(libc::M_MMAP_THRESHOLD, MAPPED_BYTES_MIN);
    }
}

/// What the kernel's type information took while the programs were loaded, some ten MiB, which glibc would keep.
pub(super) fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: takes a number, and only gives free pages of the heap back to the system.
    unsafe {
        libc::malloc_trim(0);
    }
}
