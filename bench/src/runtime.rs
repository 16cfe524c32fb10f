//! A small container runtime's logger: pipes in, log files out, as containerd, docker or conmon write them,
//! and rotation as the kubelet does it.
//!
//! In: the read ends of a process's stdout and stderr. Out: `NS_POD_UID/CONTAINER/N.log` and its rotated
//! files. Never: a look at what the lines say.

pub mod container;
pub mod framer;
pub mod logger;
pub mod rotate;
pub mod stamp;

pub use container::{ContainerLog, Place};
pub use framer::{Format, StdStream};
pub use rotate::{Rotation, Rotator};
