//! What tests share: the outside corpus, when it is present, and the built binary.

pub mod archives;
pub mod chance;
pub mod faultfs;
pub mod ledger;
pub mod reissue;
pub mod service;
pub mod trace;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use vigie_model::{Column, Documents};

/// The folder of outside oracles: `VIGIE_CORPUS`, or `../shared/data` beside the checkout.
pub fn corpus() -> Option<PathBuf> {
    let named = std::env::var_os("VIGIE_CORPUS").map(PathBuf::from);
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    named.or(Some(beside)).filter(|path| path.is_dir())
}

/// Runs an oracle when the corpus is present, and says so when it is not.
pub fn oracle(name: &str, run: impl FnOnce(&Path)) {
    match corpus() {
        Some(folder) => {
            run(&folder);
            println!("oracle {name}: ran");
        }
        None => println!("oracle {name}: skipped: corpus not found"),
    }
}

/// The plain bytes of a zstd file.
pub fn unpack(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = BufReader::new(File::open(path)?);
    let mut decoder = ruzstd::decoding::StreamingDecoder::new(file).map_err(io::Error::other)?;
    decoder.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The lines of a zstd NDJSON file.
pub fn ndjson(path: &Path) -> io::Result<Vec<Value>> {
    let text = String::from_utf8(unpack(path)?).map_err(io::Error::other)?;
    text.lines().map(|line| serde_json::from_str(line).map_err(io::Error::other)).collect()
}

/// The files of a `.tar.zst`, by path.
pub fn untar(path: &Path) -> io::Result<BTreeMap<String, String>> {
    let bytes = unpack(path)?;
    let mut files = BTreeMap::new();
    for entry in tar::Archive::new(bytes.as_slice()).entries()? {
        let mut entry = entry?;
        let name = entry.path()?.to_string_lossy().into_owned();
        let mut text = String::new();
        if entry.header().entry_type().is_file() && entry.read_to_string(&mut text).is_ok() {
            files.insert(name, text);
        }
    }
    Ok(files)
}

/// The built binary: `VIGIE_BINARY`, or the one beside the running test.
pub fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("VIGIE_BINARY") {
        return PathBuf::from(path);
    }
    let test = std::env::current_exe().unwrap_or_default();
    test.ancestors().nth(2).map(|folder| folder.join("vigie")).unwrap_or_default()
}

/// Files under a folder whose path holds a text, sorted.
pub fn files(folder: &Path, holds: &str) -> Vec<PathBuf> {
    let (mut found, mut waiting) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(path) = waiting.pop() {
        match std::fs::read_dir(&path) {
            Ok(entries) => waiting.extend(entries.flatten().map(|entry| entry.path())),
            Err(_) if path.to_string_lossy().contains(holds) => found.push(path),
            Err(_) => {}
        }
    }
    found.sort();
    found
}

/// The promoted columns of the content.
///
/// # Errors
/// The file is missing or broken.
pub fn columns() -> io::Result<Vec<Column>> {
    #[derive(serde::Deserialize)]
    struct ColumnsFile {
        columns: Vec<Column>,
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../content/schema/columns.toml");
    let file: ColumnsFile = toml::from_str(&std::fs::read_to_string(path)?).map_err(io::Error::other)?;
    Ok(file.columns)
}

/// The port of documents for a lake that is asked for none.
pub struct NoDocuments;

impl Documents for NoDocuments {
    fn document(&self, _: &str, _: &[u8], _: &str) -> Option<String> {
        None
    }
}

/// What a run of the binary gave.
#[derive(Debug)]
pub struct Ran {
    /// Exit code.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

/// Runs the binary with arguments.
///
/// # Errors
/// The binary is not there: build it with `make test`.
pub fn vigie(arguments: &[&str]) -> io::Result<Ran> {
    let output = Command::new(binary()).args(arguments).output()?;
    Ok(Ran {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}
