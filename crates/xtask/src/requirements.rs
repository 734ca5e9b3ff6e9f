//! `docs/requirements.tsv` is honest, and the README's table is made from it.

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use crate::Report;

const BEGIN: &str = "<!-- works-today:begin -->";
const END: &str = "<!-- works-today:end -->";
const HEADER: &str = "requirement\tstate\ttest\ttitle";

struct Row {
    requirement: String,
    state: String,
    test: String,
    title: String,
}

fn rows(root: &Path) -> Result<Vec<Row>, String> {
    let text =
        fs::read_to_string(root.join("docs/requirements.tsv")).map_err(|error| format!("docs/requirements.tsv: {error}"))?;
    if text.lines().next() != Some(HEADER) {
        return Err(format!("docs/requirements.tsv: must begin with `{HEADER}`"));
    }
    let row = |line: &str| {
        let mut cells = line.split('\t').map(str::to_owned);
        Some(Row { requirement: cells.next()?, state: cells.next()?, test: cells.next()?, title: cells.next()? })
    };
    text.lines()
        .skip(1)
        .map(|line| row(line).ok_or_else(|| format!("docs/requirements.tsv: `{line}` has fewer than four columns")))
        .collect()
}

/// Checks states and tests, and that the README says the same.
pub(crate) fn check(root: &Path, report: &mut Report) {
    let rows = match rows(root) {
        Ok(rows) => rows,
        Err(error) => {
            report.say(error);
            return;
        }
    };
    let tests = all_tests(root);
    for row in &rows {
        let name = &row.requirement;
        match row.state.as_str() {
            "works" if row.test.is_empty() => report.say(format!("{name}: works, but no test proves it")),
            "works" | "partly" | "not yet" => {}
            other => report.say(format!("{name}: `{other}` is no state; write works, partly or not yet")),
        }
        if !row.test.is_empty() && !tests.contains(&format!("fn {}(", row.test)) {
            report.say(format!("{name}: there is no test `{}`", row.test));
        }
    }
    let readme = fs::read_to_string(root.join("README.md")).unwrap_or_default();
    if !readme.contains(&table(&rows)) {
        report.say("README.md: its table differs from docs/requirements.tsv; run `cargo xtask readme`");
    }
}

/// The text of every test file.
fn all_tests(root: &Path) -> String {
    let mut text = String::new();
    let mut waiting = vec![root.join("crates"), root.join("tests")];
    while let Some(path) = waiting.pop() {
        if let Ok(entries) = fs::read_dir(&path) {
            waiting.extend(entries.flatten().map(|entry| entry.path()));
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            text.push_str(&fs::read_to_string(&path).unwrap_or_default());
        }
    }
    text
}

fn table(rows: &[Row]) -> String {
    let shown = rows.iter().filter(|row| row.state != "not yet");
    let lines: String =
        shown.map(|row| format!("| {} | {} | {} | {} |\n", row.requirement, row.title, row.state, row.test)).collect();
    let later = rows.iter().filter(|row| row.state == "not yet").count();
    format!(
        "{BEGIN}\n| requirement | what | state | proving test |\n|---|---|---|---|\n{lines}\n{later} of {} requirements are not begun.\n{END}",
        rows.len()
    )
}

/// Writes the table into the README.
pub(crate) fn write(root: &Path) -> ExitCode {
    let path = root.join("README.md");
    let (Ok(rows), Ok(readme)) = (rows(root), fs::read_to_string(&path)) else {
        eprintln!("README.md or docs/requirements.tsv cannot be read");
        return ExitCode::FAILURE;
    };
    let (Some((before, rest)), Some((_, after))) = (readme.split_once(BEGIN), readme.split_once(END)) else {
        eprintln!("README.md: has no markers {BEGIN} and {END}");
        return ExitCode::FAILURE;
    };
    let _ = rest;
    match fs::write(&path, format!("{before}{}{after}", table(&rows))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("README.md: {error}");
            ExitCode::FAILURE
        }
    }
}
