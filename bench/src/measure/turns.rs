//! What is measured several times: in turn, so that whatever else the machine does meets all, and told as medians.
//!
//! In: subjects, how to measure one. Out: a row each, the ratio to the first. Never: a run that is left out.

use super::row::{Row, Rows};
use crate::scenarios::stage::{median, quantile};
use anyhow::{Context as _, Result};
use serde_json::{Map, Value};

/// Measures each subject so many times, in turn; the medians, in the order of the subjects.
///
/// # Errors
/// Those of `measure`, or there are no runs.
pub fn medians<S>(subjects: &[S], runs: usize, mut measure: impl FnMut(&S) -> Result<Row>) -> Result<Vec<Row>> {
    let mut taken = vec![Vec::new(); subjects.len()];
    for run in 1..=runs {
        for (subject, taken) in subjects.iter().zip(&mut taken) {
            let row = measure(subject)?;
            eprintln!("      run {run} of {runs}: {row}");
            taken.push(row);
        }
    }
    taken.iter().map(|rows| middle(rows)).collect()
}

/// Tells them, each that is no row of the first one's target with its ratio to the first.
///
/// # Errors
/// The file cannot be written.
pub fn tell(rows: &mut Rows, medians: Vec<Row>) -> Result<()> {
    let ours = medians.first().cloned();
    for row in medians {
        let ratio = ours.as_ref().filter(|ours| ours.target != row.target).map(|ours| ratio(ours, &row));
        rows.tell(row)?;
        ratio.into_iter().for_each(|ratio| println!("   {ratio}"));
    }
    Ok(())
}

fn ratio(ours: &Row, theirs: &Row) -> String {
    type Figure = (&'static str, fn(&Row) -> Option<f64>);
    const FIGURES: [Figure; 5] = [
        ("MB per CPU-s", |row| row.mb_per_cpu_s),
        ("cores", |row| row.cores),
        ("memory", |row| row.rss_mib),
        ("median lag", |row| row.lag_ms_p50),
        ("99th percentile of lag", |row| row.lag_ms_p99),
    ];
    let times = FIGURES.iter().filter_map(|(name, figure)| Some((name, figure(ours)? / figure(theirs)?)));
    let times: Vec<_> = times.map(|(name, times)| format!("{times:.3} times the {name}")).collect();
    format!("{} over {}: {}", ours.target, theirs.target, times.join(", "))
}

/// Each figure's median; of what was lost, doubled or refused the sum, of the longest lag the longest.
fn middle(runs: &[Row]) -> Result<Row> {
    let runs: Vec<Map<String, Value>> =
        runs.iter().map(|row| Ok(serde_json::from_value(serde_json::to_value(row)?)?)).collect::<Result<_>>()?;
    let mut middle = runs.first().context("no runs")?.clone();
    let figures = |key: &str| runs.iter().filter_map(|run| run.get(key)?.as_f64()).collect::<Vec<f64>>();
    for (key, value) in &mut middle {
        let counts = || runs.iter().filter_map(|run| run.get(key)?.as_u64());
        match key.as_str() {
            "lost" | "doubled" | "refused" if value.is_u64() => *value = counts().sum::<u64>().into(),
            "lag_ms_max" if value.is_f64() => *value = figures(key).into_iter().fold(0.0, f64::max).into(),
            _ if value.is_u64() => *value = (median(figures(key)) as u64).into(),
            _ if value.is_f64() => *value = median(figures(key)).into(),
            _ => {}
        }
    }
    let spread_of = ["mb_per_cpu_s", "cores", "lag_ms_p99"].into_iter().find(|key| middle[*key].is_f64());
    let mut row: Row = serde_json::from_value(Value::Object(middle))?;
    if let Some(key) = spread_of.filter(|_| runs.len() > 1) {
        let mut sorted = figures(key);
        sorted.sort_unstable_by(f64::total_cmp);
        row.spread = Some([0.0, 1.0].map(|end| quantile(&sorted, end) / quantile(&sorted, 0.5)));
    }
    Ok(row)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(cores: f64, lost: u64, most: f64) -> Row {
        Row {
            target: "penstock".into(),
            cores: Some(cores),
            lost: Some(lost),
            lag_ms_max: Some(most),
            lines: Some(7),
            ..Row::default()
        }
    }

    #[test]
    fn the_median_is_told_but_no_loss_and_no_lag_is_hidden_by_it() {
        let runs = [row(0.2, 0, 5.0), row(0.1, 3, 90.0), row(0.4, 0, 6.0)];
        let mut left = runs.iter();
        let told = medians(&["agent"], 3, |_| Ok(left.next().unwrap().clone())).unwrap();
        assert_eq!((told[0].cores, told[0].lost, told[0].lag_ms_max), (Some(0.2), Some(3), Some(90.0)));
        assert_eq!((told[0].lines, told[0].spread), (Some(7), Some([0.5, 2.0])));
        assert_eq!(told[0].rss_mib, None, "what was not measured is not told");
    }

    #[test]
    fn subjects_take_turns() {
        let mut order = String::new();
        medians(&["a", "b"], 2, |subject| {
            order.push_str(subject);
            Ok(Row::default())
        })
        .unwrap();
        assert_eq!(order, "abab");
    }

    #[test]
    fn a_ratio_has_what_both_measured() {
        let theirs = Row { target: "other".into(), cores: Some(0.5), ..Row::default() };
        assert_eq!(ratio(&row(0.25, 0, 1.0), &theirs), "penstock over other: 0.500 times the cores");
    }
}
