//! Fail points, as tests set them: only with the feature `failpoints`, never in a release.
//!
//! `VIGIE_POINTS` holds `NAME=error|panic|abort`, ended by semicolons: what happens when the point is
//! first reached. `NAME=note` does nothing. Every point that is reached writes its name as a line of
//! the file `VIGIE_POINTS_SEEN`.

use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};

/// Sets what the environment asks for.
pub(crate) fn set() {
    let asked = std::env::var("VIGIE_POINTS").unwrap_or_default();
    for (name, action) in asked.split(';').filter_map(|point| point.split_once('=')) {
        let (point, action) = (name.to_owned(), action.to_owned());
        let is_done = AtomicBool::new(false);
        let reached = move || {
            note(&point);
            if is_done.swap(true, Ordering::SeqCst) {
                return;
            }
            match action.as_str() {
                "abort" => std::process::abort(),
                "panic" => std::panic::resume_unwind(Box::new("a fail point")),
                // The point itself fails when it is reached the second time.
                "error" => drop(fail::cfg(&*point, "1*return->off")),
                _ => {}
            }
        };
        let _ = fail::cfg_callback(name, reached);
    }
}

fn note(point: &str) {
    if let Some(path) = std::env::var_os("VIGIE_POINTS_SEEN")
        && let Ok(mut file) = std::fs::File::options().create(true).append(true).open(path)
    {
        let _ = writeln!(file, "{point}");
    }
}
