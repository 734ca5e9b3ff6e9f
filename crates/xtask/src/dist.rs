//! `cargo xtask dist`: the release binary with its manual, completions and licences, in one archive.

use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};

/// Builds the release binary and packs it.
pub(crate) fn run(root: &Path) -> ExitCode {
    match pack(root) {
        Ok(archive) => {
            println!("{archive}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("dist: {error}");
            ExitCode::FAILURE
        }
    }
}

fn pack(root: &Path) -> Result<String, String> {
    let target = std::env::var("CARGO_TARGET_DIR").unwrap_or_else(|_| root.join("target").display().to_string());
    call(root, "cargo", &["build", "--release", "--package", "vigie"])?;
    let folder = Path::new(&target).join("dist/vigie");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
    let copy = |from: &Path, name: &str| {
        fs::copy(from, folder.join(name)).map(|_| ()).map_err(|error| format!("{}: {error}", from.display()))
    };
    copy(&Path::new(&target).join("release/vigie"), "vigie")?;
    for name in ["LICENSE", "README.md", "CHANGELOG.md"] {
        copy(&root.join(name), name)?;
    }
    for (name, content) in crate::manual::files().map_err(|error| error.to_string())? {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap_or(&folder)).map_err(|error| error.to_string())?;
        fs::write(path, content).map_err(|error| error.to_string())?;
    }
    fs::write(folder.join("THIRD-PARTY.txt"), third_party(root)?).map_err(|error| error.to_string())?;
    let archive = format!("{target}/dist/vigie.tar.gz");
    call(&Path::new(&target).join("dist"), "tar", &["-czf", "vigie.tar.gz", "vigie"])?;
    Ok(archive)
}

fn call(folder: &Path, program: &str, arguments: &[&str]) -> Result<(), String> {
    let status =
        Command::new(program).args(arguments).current_dir(folder).status().map_err(|error| format!("{program}: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{program} {} failed", arguments.join(" "))) }
}

/// Names, versions and licences of every dependency of the binary.
fn third_party(root: &Path) -> Result<String, String> {
    let arguments = ["tree", "--package", "vigie", "--edges", "normal", "--prefix", "none", "--format", "{p} {l}"];
    let out = Command::new("cargo").args(arguments).current_dir(root).output().map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let mut lines: Vec<&str> =
        text.lines().filter(|line| !line.contains("(/")).map(|line| line.trim_end_matches(" (*)")).collect();
    lines.sort_unstable();
    lines.dedup();
    Ok(lines.join("\n") + "\n")
}
