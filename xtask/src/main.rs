//! The chores of the project: `cargo xtask --help`. The chores themselves are in `penstock-bench`.

use anyhow::Result;
use clap::{Parser, Subcommand};
use penstock_bench::arm64::Arm64Args;
use penstock_bench::demo::DemoArgs;
use penstock_bench::e2e::E2eArgs;
use penstock_bench::ebpf::EbpfArgs;
use penstock_bench::image::ImageArgs;
use penstock_bench::measure::{self, BenchArgs, guard, tune};
use penstock_bench::producer::{self, ProducerArgs};
use penstock_bench::receiver::{Receiver, ReceiverConfig};
use penstock_bench::runtime::logger::{self, LoggerArgs};
use penstock_bench::scenarios::{self, SoakArgs};
use penstock_bench::vm::VmArgs;
use penstock_bench::{agent, arm64, ci, demo, e2e, ebpf, image, setup, vm};
use std::net::SocketAddr;
use std::process::ExitCode;
use tokio::runtime::Runtime;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Every chore of Penstock")]
struct Command {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// The main job on this machine: sample containers, the agent, a Loki-compatible receiver, a live table, a tally
    Demo(DemoArgs),
    /// Every test
    Test,
    /// What CI runs
    Ci,
    /// Installs what the chores need (root on Debian), else says what to install
    Setup,
    /// Builds the kernel programs into the object that the agent embeds
    Ebpf(EbpfArgs),
    /// The agent's container image as a tar, without a container engine
    Image(ImageArgs),
    /// The agent for arm64, cross-built with Debian's tools
    Arm64(Arm64Args),
    /// Real containers under a private containerd, every line compared
    E2e(E2eArgs),
    /// What the agent does for its processor time, beside what this machine could do at all
    Bench(BenchArgs),
    /// The kernel matrix: Debian's kernels in QEMU, every hook, every check
    Vm(VmArgs),
    /// The Loki-compatible receiver alone, until Ctrl-C
    Receiver {
        /// Where to listen.
        #[arg(long, default_value = "127.0.0.1:3100")]
        listen: SocketAddr,
    },
    /// The long tests: rotation, formats, kills, outage, memory, ahead, latency, full, stopped, rights, cost, idle, simulation, handover
    Soak(SoakArgs),
    /// A sample application; the other chores start it
    #[command(hide = true)]
    Producer(ProducerArgs),
    /// Runs a program behind pipes and logs what it writes, as a runtime does; the other chores start it
    #[command(hide = true)]
    Logger(LoggerArgs),
}

fn main() -> Result<ExitCode> {
    let good = match Command::parse().chore {
        Chore::Demo(args) => {
            let runtime = Runtime::new()?;
            demo::run(&args, &runtime.block_on(Receiver::start(ReceiverConfig::default()))?)?
        }
        Chore::E2e(args) => {
            let runtime = Runtime::new()?;
            e2e::run(&args, &runtime.block_on(Receiver::start(ReceiverConfig::default()))?)?
        }
        Chore::Bench(args) if args.guard => guard::run(args.write)?,
        Chore::Bench(args) if args.tune => tune::run(args.aim, args.load, args.seed).map(|()| true)?,
        Chore::Bench(args) => match agent::run_optimised()? {
            Some(held) => held,
            None => measure::run(&args).map(|()| true)?,
        },
        Chore::Ebpf(args) => ebpf::run(&args).map(|()| true)?,
        Chore::Arm64(args) => arm64::run(args).map(|()| true)?,
        Chore::Image(args) => image::run(&args).map(|()| true)?,
        Chore::Receiver { listen } => {
            Runtime::new()?.block_on(receive(listen))?;
            true
        }
        Chore::Soak(args) if args.debug => scenarios::run(&args)?,
        Chore::Soak(args) => match agent::run_optimised()? {
            Some(held) => held,
            None => scenarios::run(&args)?,
        },
        Chore::Vm(args) => vm::run(&args)?,
        Chore::Test => ci::test().map(|()| true)?,
        Chore::Ci => ci::run().map(|()| true)?,
        Chore::Setup => setup::run().map(|()| true)?,
        Chore::Producer(args) => producer::run_process(&args).map(|()| true)?,
        Chore::Logger(args) => logger::run_process(&args).map(|()| true)?,
    };
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn receive(listen: SocketAddr) -> Result<()> {
    let receiver = Receiver::start(ReceiverConfig { listen, keep_entries: true, ..Default::default() }).await?;
    println!("receiver: {}; Ctrl-C ends it", receiver.url());
    tokio::signal::ctrl_c().await?;
    let stats = receiver.stats();
    println!("{} entries in {} requests", stats.entries_stored, stats.requests);
    receiver.stop().await;
    Ok(())
}
