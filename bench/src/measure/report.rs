//! What a run found, to keep and to show: one Markdown file and a plot for each figure.
//!
//! In: the rows of one run. Out: `report.md` and SVG files in a folder. Never: a figure that is not in the rows.

use super::row::Row;
use anyhow::{Context, Result};
use plotters::prelude::*;
use std::fmt::Write as _;
use std::path::Path;

/// A plot: its file, its title, and what of a row it shows.
type Plot = (&'static str, &'static str, fn(&Row) -> Option<f64>);

const PLOTS: [Plot; 7] = [
    ("throughput.svg", "MB of log files per second of processor time", |row| row.mb_per_cpu_s),
    ("cores.svg", "cores", |row| row.cores),
    ("memory.svg", "resident memory, MiB", |row| row.rss_mib),
    ("lag.svg", "from write to arrival, 99th percentile, ms", |row| row.lag_ms_p99),
    ("limit.svg", "bytes stored over those that the tenant's limit allows", |row| row.limit_share),
    ("fairness.svg", "Jain's index of what the agents got", |row| row.jain),
    ("cost.svg", "what a call takes longer, ns", |row| row.more_ns),
];
const WIDTH: u32 = 900;
const BAR_HEIGHT: u32 = 24;

/// Writes the report of these rows; `how` tells with which command and on what machine they were made.
///
/// # Errors
/// Those of the file system.
pub fn write(rows: &[Row], how: &str, folder: &Path) -> Result<()> {
    let mut text = format!("# Penstock: what was measured\n\n{how}\n");
    let mut scenario = "";
    for row in rows {
        if row.scenario != scenario {
            scenario = &row.scenario;
            writeln!(text, "\n## {scenario}\n")?;
        }
        writeln!(text, "- {row}")?;
    }
    writeln!(text, "\n## Plots\n")?;
    for (file, title, figure) in PLOTS {
        let bars: Vec<_> = rows.iter().filter_map(|row| Some((name(row), figure(row)?))).collect();
        if bars.is_empty() {
            continue;
        }
        plot(&folder.join(file), title, &bars).with_context(|| format!("drawing {file}"))?;
        writeln!(text, "![{title}]({file})\n")?;
    }
    let path = folder.join("report.md");
    std::fs::write(&path, text).with_context(|| format!("writing {}", path.display()))
}

fn name(row: &Row) -> String {
    let capture = row.capture.as_deref().unwrap_or_default();
    format!("{} {} {} {capture}", row.scenario, row.target, row.corpus)
}

/// One bar a row, from the top down.
///
/// # Errors
/// Those of the file system, and of the library.
pub(super) fn plot(path: &Path, title: &str, bars: &[(String, f64)]) -> Result<()> {
    let height = 90 + BAR_HEIGHT * u32::try_from(bars.len())?;
    let area = SVGBackend::new(path, (WIDTH, height)).into_drawing_area();
    area.fill(&WHITE).map_err(drawing)?;
    let most = bars.iter().map(|(_, value)| *value).fold(0.0, f64::max).max(f64::MIN_POSITIVE);
    let last = i32::try_from(bars.len())? - 1;
    let mut chart = ChartBuilder::on(&area)
        .caption(title, ("sans-serif", 18))
        .margin(10)
        .x_label_area_size(30)
        .y_label_area_size(360)
        .build_cartesian_2d(0.0..most * 1.15, (0..last).into_segmented())
        .map_err(drawing)?;
    let label = |at: &SegmentValue<i32>| match at {
        SegmentValue::CenterOf(at) => {
            usize::try_from(last - at).ok().and_then(|row| bars.get(row)).map_or(String::new(), |bar| bar.0.clone())
        }
        _ => String::new(),
    };
    chart.configure_mesh().disable_y_mesh().y_labels(bars.len()).y_label_formatter(&label).draw().map_err(drawing)?;
    let shapes = bars.iter().enumerate().map(|(row, (_, value))| {
        let at = last - i32::try_from(row).unwrap_or(0);
        let mut bar = Rectangle::new(
            [(0.0, SegmentValue::Exact(at)), (*value, SegmentValue::Exact(at + 1))],
            BLUE.mix(0.5).filled(),
        );
        bar.set_margin(3, 3, 0, 0);
        bar
    });
    chart.draw_series(shapes).map_err(drawing)?;
    let values = bars.iter().enumerate().map(|(row, (_, value))| {
        let at = last - i32::try_from(row).unwrap_or(0);
        Text::new(format!(" {value:.4}"), (*value, SegmentValue::CenterOf(at)), ("sans-serif", 13))
    });
    chart.draw_series(values).map_err(drawing)?;
    area.present().map_err(drawing)
}

/// The library's errors hold its backend's, which cannot cross threads.
fn drawing(error: impl std::fmt::Display) -> anyhow::Error {
    anyhow::anyhow!("{error}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_has_every_row_and_a_plot_for_what_was_measured() {
        let folder = tempfile::tempdir().unwrap();
        let row = |target: &str, mb| Row {
            scenario: "tail".into(),
            target: target.into(),
            corpus: "json".into(),
            mb_per_cpu_s: Some(mb),
            ..Row::default()
        };
        write(&[row("penstock", 400.0), row("fluent-bit", 30.0)], "here", folder.path()).unwrap();
        let text = std::fs::read_to_string(folder.path().join("report.md")).unwrap();
        assert!(text.contains("penstock") && text.contains("fluent-bit") && text.contains("throughput.svg"), "{text}");
        assert!(!text.contains("lag.svg"), "nothing of it was measured");
        let svg = std::fs::read_to_string(folder.path().join("throughput.svg")).unwrap();
        assert!(svg.contains("<svg") && svg.contains("fluent-bit"), "{svg}");
    }
}
