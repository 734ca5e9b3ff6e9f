//! Packs the content for the binary: what every run needs as it is, and what proves it (samples, expected
//! documents, pages) deflated, since only tests and lists read it.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

fn main() -> io::Result<()> {
    let folder = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR").map_err(io::Error::other)?).join("../../content");
    println!("cargo:rerun-if-changed={}", folder.display());
    let out = PathBuf::from(std::env::var("OUT_DIR").map_err(io::Error::other)?);
    let mut files = BTreeMap::new();
    read(&folder, "", &mut files)?;
    let (proofs, needed): (Vec<_>, Vec<_>) = files.iter().partition(|(path, _)| is_proof(path));
    fs::write(out.join("content.pack"), packed(&needed))?;
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(&packed(&proofs))?;
    fs::write(out.join("proofs.pack"), encoder.finish()?)
}

/// Whether a file is there to prove others.
fn is_proof(path: &str) -> bool {
    path.ends_with(".md") || ["/samples/", "/expected/"].iter().any(|part| path.contains(part))
}

/// Each file as a line with its path and its length, and its bytes.
fn packed(files: &[(&String, &Vec<u8>)]) -> Vec<u8> {
    let mut pack = Vec::new();
    for (path, bytes) in files {
        pack.extend_from_slice(format!("{path}\t{}\n", bytes.len()).as_bytes());
        pack.extend_from_slice(bytes);
    }
    pack
}

fn read(folder: &Path, prefix: &str, files: &mut BTreeMap<String, Vec<u8>>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() {
            read(&entry.path(), &format!("{path}/"), files)?;
        } else {
            files.insert(path, fs::read(entry.path())?);
        }
    }
    Ok(())
}
