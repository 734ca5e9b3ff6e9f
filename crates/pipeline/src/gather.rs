//! The first pass of a hunt: digests, their signatures and public keys, before the log files that they
//! prove.
//!
//! Archives are opened in this pass too, by their names, and again in the second.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use vigie_model::Source;

use crate::inflate::{each_file, is_archive};
use crate::proof::{Digest, DigestReader, Part};
use crate::signature::Keys;

/// Digests, files of signatures and lists of keys in one hunt.
const FILES_MAX: usize = 2_000_000;
/// Plain bytes of one of them.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Gathered {
    pub(crate) digests: Vec<Digest>,
    pub(crate) keys: Keys,
    /// Digests that cannot be read: name, and why as the end of "it ...".
    pub(crate) unreadable: Vec<(String, String)>,
    /// Files that hold no records, since they were understood here: object and name.
    pub(crate) files: BTreeSet<(usize, String)>,
    /// Signatures by the name of the digest.
    signatures: BTreeMap<String, String>,
    is_full: bool,
}

/// Goes through a source once.
pub(crate) fn gather(source: &dyn Source, reader: &DigestReader<'_>) -> Gathered {
    let mut gathered = Gathered::default();
    for (object, info) in source.objects().iter().enumerate() {
        let is_container = is_archive(&info.name);
        let part = reader.part(&info.name);
        if part == Part::Other && !is_container {
            continue;
        }
        let opened = source.open(object).and_then(|stream| {
            each_file(&info.name, stream, &mut |name, bytes| gathered.take(reader, object, name, bytes))
                .map_err(|error| error.to_string())
        });
        // What is wrong with other files is said when they are read as logs.
        if let Err(error) = opened
            && part == Part::Digest
            && !is_container
            && gathered.files.insert((object, info.name.clone()))
        {
            gathered.unreadable.push((info.name.clone(), format!("cannot be opened: {error}")));
        }
    }
    for digest in &mut gathered.digests {
        digest.signature = gathered.signatures.get(&digest.name).cloned();
    }
    gathered
}

impl Gathered {
    /// Takes one file, if it is one of those looked for. What is not understood is left to be read as
    /// a log, and named there; but a digest that cannot be read is named as one.
    fn take(&mut self, reader: &DigestReader<'_>, object: usize, name: &str, bytes: &mut dyn Read) {
        let part = reader.part(name);
        if part == Part::Other || self.is_full {
            return;
        }
        if self.files.len() >= FILES_MAX {
            self.is_full = true;
            let why = format!("is one of more than {FILES_MAX} digests and signatures: hunt in a part of the folder");
            self.unreadable.push((name.to_owned(), why));
            return;
        }
        let text = read_whole(bytes);
        let is_taken = match part {
            Part::Digest => {
                match text.and_then(|text| reader.read(name, &text)) {
                    Ok(digest) => self.digests.push(digest),
                    Err(why) => self.unreadable.push((name.to_owned(), why)),
                }
                true
            }
            Part::Signature(digest) => {
                let signature = text.ok().and_then(|text| reader.side.signature(&text));
                let is_taken = signature.is_some();
                self.signatures.extend(signature.map(|signature| (digest.to_owned(), signature)));
                is_taken
            }
            Part::Keys => text.is_ok_and(|text| reader.side.add_keys(name, &text, &mut self.keys)),
            Part::Other => false,
        };
        if is_taken {
            self.files.insert((object, name.to_owned()));
        }
    }
}

fn read_whole(bytes: &mut dyn Read) -> Result<Vec<u8>, String> {
    let mut text = Vec::new();
    let read = bytes.take(FILE_BYTES_MAX + 1).read_to_end(&mut text).map_err(|error| format!("ends early: {error}"))?;
    if read as u64 > FILE_BYTES_MAX {
        return Err(format!("is longer than {FILE_BYTES_MAX} bytes"));
    }
    Ok(text)
}
