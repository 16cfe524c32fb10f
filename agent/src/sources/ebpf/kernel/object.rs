//! The object with the programs, and what of it goes to the kernel first: its maps.
//!
//! In: the size of the ring. Out: the maps, made, with programs to be loaded. Never: a structure's offset that is not the
//! running kernel's.

use crate::sources::ebpf::btf::Types;
use crate::sources::ebpf::layout;
use crate::sources::ebpf::refusal::{chain, maps_remedy};
use aya::{Ebpf, EbpfLoader};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The programs, as `cargo xtask ebpf` built them; the build script says where.
static OBJECT: &[u8] = aya::include_bytes_aligned!(env!("EMBEDDED_OBJECT"));
const BTF_PATH: &str = "/sys/kernel/btf/vmlinux";

/// Makes the maps. `ring_bytes`: a power of two.
pub(super) fn load(ring_bytes: u32) -> Result<Ebpf, String> {
    let bytes = std::fs::read(BTF_PATH)
        .map_err(|error| format!("the kernel does not describe its types: {BTF_PATH}: {error}"))?;
    let offsets = Types::parse(&bytes).ok_or_else(|| format!("{BTF_PATH} cannot be read as BTF"));
    let offsets = layout::find(&offsets?).map_err(|error| error.to_string())?.words();
    drop(bytes);
    let locked_bytes_max = lift_memory_limit();
    let mut loader = EbpfLoader::new();
    loader.override_global("OFFSETS", &offsets[..], true).map_max_entries("RING", ring_bytes);
    let words = |error| format!("making the maps: {}{}", chain(&error), maps_remedy(locked_bytes_max));
    loader.load(OBJECT).map_err(words)
}

/// Before 5.11 the kernel counts maps against this limit. Returns the limit, in bytes, where it could not be lifted.
fn lift_memory_limit() -> Option<u64> {
    match setrlimit(Resource::Memlock, Rlimit { current: None, maximum: None }) {
        Ok(()) => None,
        Err(_) => getrlimit(Resource::Memlock).current,
    }
}
