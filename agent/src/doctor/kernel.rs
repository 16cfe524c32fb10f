//! Kernel version, its type information (BTF), and the ring buffer.
//!
//! In: `/proc`, `/sys`, and the kernel's answer to a map of the ring buffer's type. Out: findings. Never: a guess
//! from the version alone where the kernel can be asked.

use super::finding::{Finding, chain};
use aya::maps::MapType;

const BTF_PATH: &str = "/sys/kernel/btf/vmlinux";
const BTF_MAGIC: u16 = 0xeb9f;

pub(super) fn examine() -> Vec<Finding> {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    vec![version(release.trim(), std::env::consts::ARCH), btf(), ring_buffer()]
}

fn version(release: &str, arch: &str) -> Finding {
    let detail = format!("{release} {arch}");
    let min = if arch == "aarch64" { (6, 4) } else { (5, 8) };
    match major_minor(release) {
        Some(version) if version >= min => Finding::ok("kernel", detail),
        Some(_) => Finding::warn(
            "kernel",
            detail,
            format!("for fentry a kernel of {}.{} or later is needed; the log file works with any", min.0, min.1),
        ),
        None => Finding::warn("kernel", format!("{detail}: no version in it"), "is /proc mounted?"),
    }
}

/// The first two numbers of a release such as `6.1.0-18-amd64`.
fn major_minor(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

fn btf() -> Finding {
    let remedy =
        "the kernel must be built with CONFIG_DEBUG_INFO_BTF, and /sys mounted; without it only raw_tp can be tried";
    match std::fs::read(BTF_PATH) {
        Ok(bytes) => match bytes.first_chunk::<2>() {
            Some(magic) if u16::from_ne_bytes(*magic) == BTF_MAGIC => {
                Finding::ok("btf", format!("{BTF_PATH}, {} KiB", bytes.len() / 1024))
            }
            _ => Finding::warn("btf", format!("{BTF_PATH} does not begin as BTF does"), remedy),
        },
        Err(error) => Finding::warn("btf", format!("{BTF_PATH}: {error}"), remedy),
    }
}

fn ring_buffer() -> Finding {
    let remedy = "a kernel of 5.8 or later, CAP_BPF (or CAP_SYS_ADMIN), and on 5.10 a higher RLIMIT_MEMLOCK";
    match aya::sys::is_map_supported(MapType::RingBuf) {
        Ok(true) => Finding::ok("ring buffer", "the kernel made one".to_owned()),
        Ok(false) => Finding::warn("ring buffer", "the kernel does not know this map".to_owned(), remedy),
        Err(error) => Finding::warn("ring buffer", format!("refused: {}", chain(&error)), remedy),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Level;

    #[test]
    fn the_version_is_read_from_any_release() {
        for (release, level) in [
            ("6.1.0-18-amd64", Level::Ok),
            ("5.8", Level::Ok),
            ("5.10.0+", Level::Ok),
            ("5.4.0-1-generic", Level::Warn),
            ("", Level::Warn),
            ("linux", Level::Warn),
        ] {
            assert_eq!(version(release, "x86_64").level, level, "{release}");
        }
        assert_eq!(version("6.1.0", "aarch64").level, Level::Warn, "fentry came to arm64 with 6.4");
    }
}
