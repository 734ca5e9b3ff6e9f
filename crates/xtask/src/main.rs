//! Automation of the repository: `cargo xtask tidy`, `cargo xtask readme`, `cargo xtask dist`.

mod architecture;
mod content;
mod dist;
mod manual;
mod requirements;
mod sources;

use std::path::PathBuf;
use std::process::ExitCode;

/// The root of the repository.
fn root() -> PathBuf {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).map(PathBuf::from).unwrap_or(here)
}

/// Broken house rules, one sentence each.
#[derive(Default)]
struct Report(Vec<String>);

impl Report {
    fn say(&mut self, what: impl Into<String>) {
        self.0.push(what.into());
    }
}

fn tidy() -> ExitCode {
    let root = root();
    let mut report = Report::default();
    sources::check(&root, &mut report);
    architecture::check(&root, &mut report);
    content::check(&root, &mut report);
    requirements::check(&root, &mut report);
    report.0.iter().for_each(|line| println!("{line}"));
    println!("tidy: {} rules of the house are broken", report.0.len());
    if report.0.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        Some("tidy") => tidy(),
        Some("readme") => requirements::write(&root()),
        Some("ratchet") => sources::write_ratchet(&root()),
        Some("dist") => dist::run(&root()),
        _ => {
            eprintln!("usage: cargo xtask tidy | readme | ratchet | dist");
            ExitCode::from(2)
        }
    }
}
