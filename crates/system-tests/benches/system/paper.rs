//! The report as people read it: a table in the terminal, and docs/performance.md.

use std::io::Write as _;

use crate::figures::{Aim, Figure, Report, Section};

/// Writes one line to standard output.
pub(crate) fn line(text: &str) {
    // A reader that went away is no reason to fail.
    drop(writeln!(std::io::stdout().lock(), "{text}"));
}

/// Writes one line to standard error: how far we are.
pub(crate) fn aside(text: &str) {
    drop(writeln!(std::io::stderr().lock(), "{text}"));
}

/// The report for a terminal.
pub(crate) fn table(report: &Report) -> String {
    let mut text = String::new();
    let machine = &report.machine;
    push(
        &mut text,
        format!(
            "{} · {} cores {} · {} MiB · Linux {} · {} · {} · bare fsync {:.2} ms · load before {:.2}\n",
            report.date,
            machine.cores,
            machine.cpu,
            machine.memory_mib,
            machine.kernel,
            machine.rustc,
            machine.nats_server,
            machine.fsync_ms,
            machine.load_before
        ),
    );
    for section in &report.sections {
        push(&mut text, format!("\n({}) {}\n", section.key, section.title));
        let width = section.figures.iter().map(|one| one.name.chars().count()).max().unwrap_or(0);
        for figure in &section.figures {
            let row = row(figure);
            push(
                &mut text,
                format!(
                    "  {:<width$}  {:>12}  {:>12}  {:>7}  {:>7}  {}\n",
                    figure.name, row[0], row[1], row[2], row[3], row[4]
                ),
            );
        }
    }
    push(&mut text, format!("\n{:.0} s in all", report.took_seconds));
    text
}

/// Takes its line by value, as `format!` makes it.
#[expect(clippy::needless_pass_by_value, reason = "every caller has just made it")]
fn push(text: &mut String, line: String) {
    text.push_str(&line);
}

/// Measured, baseline, ratio, aim, verdict.
fn row(figure: &Figure) -> [String; 5] {
    let unit = figure.unit;
    let value = |value: f64| format!("{} {unit}", number(value)).trim().to_owned();
    let aim = match figure.aim {
        None => String::new(),
        Some(Aim::RatioAtLeast(least)) => format!("≥ {least}×"),
        Some(Aim::RatioAtMost(most)) => format!("≤ {most}×"),
        Some(Aim::AtMost(most)) => format!("≤ {most}"),
    };
    let verdict = match figure.met {
        None => "",
        Some(true) => "met",
        Some(false) => "MISSED",
    };
    [
        value(figure.value),
        figure.baseline.map(value).unwrap_or_default(),
        figure.ratio.map(|ratio| format!("{ratio:.2}×")).unwrap_or_default(),
        aim,
        verdict.to_owned(),
    ]
}

/// Three digits, however large.
fn number(value: f64) -> String {
    match value.abs() {
        size if size.is_nan() => "none".to_owned(),
        size if size >= 1_000.0 => format!("{value:.0}"),
        size if size >= 100.0 || size == 0.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// The report as a document. `remarks` are what people wrote about it and want kept.
pub(crate) fn document(report: &Report, remarks: &str) -> String {
    let machine = &report.machine;
    let mut text = format!(
        "# Performance\n\n\
         Measured by `cargo xtask bench --write`, which builds the release programs, runs everything \
         side by side on the machine it stands on, and writes this file. `--quick` takes about two \
         minutes instead of about ten, `--only a,b` takes parts, `--json` prints for programs. Only \
         ratios travel from machine to machine: each figure is compared with a baseline of the same \
         run, in alternating rounds.\n\n\
         | | |\n|---|---|\n\
         | date | {} |\n| processor | {} cores, {} |\n| memory | {} MiB |\n| kernel | Linux {} |\n\
         | compiler | {} |\n| nats-server | {} |\n| bare fsync of 1.5 KB, median | {:.2} ms |\n\
         | load of the machine before | {:.2} |\n| run | {}, {:.0} s |\n",
        report.date,
        machine.cores,
        machine.cpu,
        machine.memory_mib,
        machine.kernel,
        machine.rustc,
        machine.nats_server,
        machine.fsync_ms,
        machine.load_before,
        if report.quick { "quick" } else { "whole" },
        report.took_seconds,
    );
    for section in &report.sections {
        text.push_str(&part(section));
    }
    let kept = remarks.trim();
    push(
        &mut text,
        format!("\n{REMARKS}\n\n{}\n", if kept.is_empty() { "None yet." } else { kept }),
    );
    text
}

/// The heading of the part that people write and every run keeps.
pub(crate) const REMARKS: &str = "## Remarks";

fn part(section: &Section) -> String {
    let mut text = format!("\n## ({}) {}\n\n", section.key, section.title);
    text.push_str("| | measured | baseline | ratio | aim | |\n|---|--:|--:|--:|--:|---|\n");
    for figure in &section.figures {
        let [value, baseline, ratio, aim, verdict] = row(figure);
        let verdict = if verdict == "MISSED" { "**missed**" } else { &verdict };
        let name = &figure.name;
        push(
            &mut text,
            format!("| {name} | {value} | {baseline} | {ratio} | {aim} | {verdict} |\n"),
        );
    }
    text.push('\n');
    for remark in &section.remarks {
        push(&mut text, format!("- {remark}\n"));
    }
    text
}
