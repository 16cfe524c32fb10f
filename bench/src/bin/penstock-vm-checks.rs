//! What runs inside a virtual machine of `cargo xtask vm`, which builds it statically.
//!
//! In: arguments. Out: results on standard output. Never: run on the machine itself; it locks the kernel down.

use clap::Parser;
use penstock_bench::vm::{InsideArgs, run_inside};

#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    inside: InsideArgs,
}

fn main() -> anyhow::Result<()> {
    run_inside(&Arguments::parse().inside)
}
