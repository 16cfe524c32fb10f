//! Whether a hook that was attached sees what it should: two lines through a pipe of the agent's own.
//!
//! In: a kernel source. Out: why it does not work, in words. Never: a pipe that stays followed, or a wait.

use super::kernel::Kernel;
use crate::types::capture::Cookie;
use rustix::pipe::{PipeFlags, pipe_with};

/// Not given to any other following.
const COOKIE: Cookie = Cookie(u64::MAX);
const LINES: [&[u8]; 2] = [b"penstock looks whether it sees this\n", b"and this, right after it\n"];

/// Writes and reads two lines; each must come back, byte for byte, one after the other.
pub(super) fn run(kernel: &mut Kernel) -> Result<(), String> {
    let (reader, writer) =
        pipe_with(PipeFlags::CLOEXEC).map_err(|error| format!("no pipe for the self-test: {error}"))?;
    let stat = rustix::fs::fstat(&reader).map_err(|error| format!("the self-test's pipe: {error}"))?;
    let pipe = (stat.st_ino, stat.st_dev);
    kernel.follow(pipe, std::process::id(), COOKIE).map_err(|error| error.to_string())?;
    let result = LINES.iter().try_for_each(|line| {
        let mut buffer = [0; 64];
        let written = rustix::io::write(&writer, line);
        let read = written.and_then(|_| rustix::io::read(&reader, &mut buffer));
        match read {
            Ok(length) if buffer.get(..length) == Some(line) => Ok(()),
            Ok(_) => Err("the self-test's pipe gave back something else".to_owned()),
            Err(error) => Err(format!("the self-test's pipe: {error}")),
        }
    });
    let seen = result.and_then(|()| compare(kernel));
    kernel.unfollow(pipe);
    seen
}

fn compare(kernel: &mut Kernel) -> Result<(), String> {
    let mut seen = Vec::new();
    let mut has_gap = false;
    kernel.collect(usize::MAX);
    kernel.drain(usize::MAX, &mut |fragment| {
        has_gap |= fragment.cookie != COOKIE || fragment.is_gap_before || fragment.sequence != seen.len() as u64;
        seen.extend_from_slice(fragment.bytes);
    });
    match (seen.is_empty(), has_gap || seen != LINES.concat()) {
        (true, _) => {
            Err("it was attached, but a line through a pipe of the agent's own was not seen; the agent must be \
            in the node's process namespace (hostPID: true)"
                .to_owned())
        }
        (false, true) => Err(format!("it was attached, but saw {} instead of what was read", seen.escape_ascii())),
        (false, false) => Ok(()),
    }
}
