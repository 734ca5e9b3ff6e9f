//! The corpus of the benchmarks: real record shapes with fresh values.

use std::path::Path;

use vigie_tests::reissue::Shapes;

/// Records as lines of JSON.
pub struct Corpus {
    pub lines: Vec<String>,
}

impl Corpus {
    pub fn load(folder: &Path, count: usize) -> Corpus {
        let shapes = Shapes::load(folder).unwrap();
        Corpus { lines: (0..count as u64).map(|number| shapes.record(number, count as u64, 1)).collect() }
    }

    pub fn bytes(&self) -> usize {
        self.lines.iter().map(String::len).sum()
    }
}
