//! `cargo xtask bench --tune`: which settings suit this node, for a stated aim.
//!
//! In: the aim, the load. Out: what was tried, a plot, the lines to paste, and how sure they are. Never: a better setting than
//! the spread of the repeats allows to tell, or more than [`TIME_MAX`].
//!
//! One setting after the other takes each of its values while the others stay; the best so far is measured again beside each, as
//! the machine's speed changes. At the end the best and the defaults take turns.

mod candidate;
mod trial;

use super::report;
use crate::scenarios::stage::median;
use crate::{agent, clock};
use anyhow::Result;
use candidate::{Candidate, SETTINGS};
use std::time::Duration;
use trial::Trial;

/// Nothing new is tried after this time; the last comparison comes then.
const SEARCH_MAX: Duration = Duration::from_secs(130);
/// The whole takes about so long at the most.
pub const TIME_MAX: Duration = Duration::from_secs(300);
/// Takes of the last comparison, each with the best and with the defaults.
const REPEATS: usize = 5;
/// What is not better by this factor is no better: another run would say otherwise.
const BETTER: f64 = 0.97;

/// What is to be small, or large.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Aim {
    /// Processor time at a steady load
    Cpu,
    /// Time from a line's write to its arrival, of 99 of 100 lines
    Latency,
    /// Time to catch up on what is there
    Throughput,
}

/// One thing that was tried.
struct Tried {
    candidate: Candidate,
    /// In the aim's unit; less is better.
    figure: f64,
    /// Over that of the best then, measured beside it.
    ratio: f64,
}

/// Searches, and tells what it found.
///
/// # Errors
/// The agent cannot be built or started.
pub fn run(aim: Aim, megabytes_per_s: f64, seed: u64) -> Result<()> {
    println!("building the agent, optimised …");
    let program = agent::build(true)?;
    let folder = agent::project().join("target/bench/tune");
    std::fs::create_dir_all(&folder)?;
    let begun = clock::monotonic();
    let mut trial = Trial::set(aim, &program, &folder, megabytes_per_s, seed)?;
    println!("── tune: {} ({})", trial.what(), trial.witness());
    let (best, tried) = search(&mut trial, begun)?;
    print!("{}", table(&tried, trial.unit()));
    let (defaults, found) = compare(&mut trial, best)?;
    println!("   {} s", (clock::monotonic() - begun).as_secs());
    let ends =
        [("defaults, median".to_owned(), median(defaults.clone())), (format!("{best}, median"), median(found.clone()))];
    let bars = tried.iter().map(|one| (one.candidate.to_string(), one.figure)).chain(ends).collect::<Vec<_>>();
    report::plot(&folder.join("tried.svg"), trial.what(), &bars)?;
    println!("   plot: {}", folder.join("tried.svg").display());
    verdict(best, &defaults, &found, trial.unit());
    Ok(())
}

fn search(trial: &mut Trial, begun: Duration) -> Result<(Candidate, Vec<Tried>)> {
    let mut best = Candidate::default();
    let mut tried = Vec::new();
    let of_use: Vec<_> = SETTINGS.iter().enumerate().filter(|(_, setting)| trial.is_of_use(setting)).collect();
    for (place, setting) in of_use {
        for candidate in best.with_each(place) {
            if clock::monotonic() - begun > SEARCH_MAX {
                println!("   {}: not all was tried, for lack of time", setting.key);
                break;
            }
            let (figure, mut ratio) = beside(trial, &best, &candidate)?;
            if ratio < BETTER {
                // Once may be chance.
                ratio = ratio.max(beside(trial, &best, &candidate)?.1);
            }
            eprintln!("      {candidate}: {figure:.3} {}", trial.unit());
            tried.push(Tried { candidate, figure, ratio });
        }
        let here = tried.iter().filter(|one| one.candidate.differs_from(&best, place));
        if let Some(better) = here.filter(|one| one.ratio < BETTER).min_by(|a, b| a.ratio.total_cmp(&b.ratio)) {
            best = better.candidate;
        }
    }
    Ok((best, tried))
}

/// What was tried, in the order of the search, for people.
fn table(tried: &[Tried], unit: &str) -> String {
    let names: Vec<String> = tried.iter().map(|one| one.candidate.to_string()).collect();
    let width = names.iter().map(String::len).max().unwrap_or(0).max("tried".len());
    let rows = names.iter().zip(tried).map(|(name, one)| {
        let better = if one.ratio < BETTER { "  better" } else { "" };
        format!("   {name:<width$} {:>9.3} {:>17.2}{better}\n", one.figure, one.ratio)
    });
    format!("   {:<width$} {unit:>9} {:>17}\n{}", "tried", "of the best then", rows.collect::<String>())
}

/// The candidate's figure, and the same over that of the best, taken just before.
fn beside(trial: &mut Trial, best: &Candidate, candidate: &Candidate) -> Result<(f64, f64)> {
    let before = trial.run(best)?;
    let figure = trial.run(candidate)?;
    Ok((figure, figure / before))
}

/// Figures of the defaults and of the best, in turn.
fn compare(trial: &mut Trial, best: Candidate) -> Result<(Vec<f64>, Vec<f64>)> {
    let (mut defaults, mut found) = (Vec::new(), Vec::new());
    for _ in 0..REPEATS {
        defaults.push(trial.run(&Candidate::default())?);
        found.push(trial.run(&best)?);
    }
    Ok((defaults, found))
}

fn verdict(best: Candidate, defaults: &[f64], found: &[f64], unit: &str) {
    let ratios: Vec<f64> = found.iter().zip(defaults).map(|(found, default)| found / default).collect();
    let least = ratios.iter().copied().fold(f64::MAX, f64::min);
    let most = ratios.iter().copied().fold(0.0, f64::max);
    println!(
        "   defaults: median {:.3} {unit}; best: median {:.3} {unit}; {REPEATS} times in turn, ratio {:.2} ({least:.2} to {most:.2})",
        median(defaults.to_vec()),
        median(found.to_vec()),
        median(ratios.clone()),
    );
    if best == Candidate::default() || most >= 1.0 {
        println!("   no setting is surely better than the defaults here: leave them");
        return;
    }
    println!("   better in each of the {REPEATS}; paste into the configuration:\n\n{}", best.yaml());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_says_what_was_tried_and_what_was_better() {
        let mut others = Candidate::default().with_each(0);
        let mut one = |figure, ratio| Tried { candidate: others.next().unwrap(), figure, ratio };
        let text = table(&[one(1.5, 0.9), one(1.7, 1.02)], "s");
        assert_eq!(
            text,
            "   tried                    s  of the best then\n   look_again 500us     1.500              0.90  better\n   look_again 2ms       1.700              1.02\n"
        );
    }
}
