//! What a program did to files, as `strace` wrote it down.

/// The calls that make, rename, link or remove files; one list for all tests, so that none forgets one.
pub const FILE_CALLS: &str = "trace=openat,openat2,open,creat,mkdir,mkdirat,mknod,mknodat,rename,renameat,renameat2,link,linkat,symlink,symlinkat,unlink,unlinkat";

/// One path that a call would change, whether it could or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The path as the program gave it.
    pub path: String,
    /// Whether the file has no name: it is gone with its program.
    pub is_nameless: bool,
    /// The whole line.
    pub line: String,
}

/// The changes of a trace. Files that are only read are none.
pub fn changes(trace: &str) -> Vec<Change> {
    let mut changes = Vec::new();
    for line in trace.lines() {
        // `PID call(arguments) = result`; a call that another thread interrupts stands on two lines, and
        // its arguments on the first.
        let Some((call, arguments)) = line.split_once('(') else {
            continue;
        };
        let call = call.rsplit(' ').next().unwrap_or_default();
        let is_open = call.starts_with("open");
        let is_nameless = line.contains("O_TMPFILE");
        if call.is_empty() || line.contains("resumed>") || (is_open && !line.contains("O_CREAT") && !is_nameless) {
            continue;
        }
        // A symbolic link holds its first path as text, and anything may stand there: none is made at all.
        for path in arguments.split('"').skip(1).step_by(2) {
            changes.push(Change { path: path.to_owned(), is_nameless, line: line.to_owned() });
        }
    }
    changes
}

/// Whether a path within a data folder is one of those that a service gives its files.
pub fn is_known(path: &str) -> bool {
    let digits = |text: &str, count: usize| text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit());
    let hexadecimal = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_numbered = |text: &str| text.split('-').count() == 3 && text.split('-').all(hexadecimal);
    let is_day = |text: &str| {
        text.len() == 14 && text.strip_prefix("day=").is_some_and(|day| day.split('-').all(|part| digits(part, part.len())))
    };
    let is_entry = |text: &str| {
        text == "_last_checkpoint"
            || text.strip_suffix(".json").or(text.strip_suffix(".checkpoint.parquet")).is_some_and(|number| digits(number, 20))
    };
    // What becomes an entry of the log: `.NAME.PROCESS.COUNT.tmp`.
    let is_new_entry = |text: &str| {
        let parts = text.strip_prefix('.').and_then(|text| text.strip_suffix(".tmp")).map(|text| text.rsplitn(3, '.'));
        parts.is_some_and(|mut parts| {
            let (count, process, name) = (parts.next(), parts.next(), parts.next());
            let is_number = |text: Option<&str>| text.is_some_and(|text| !text.is_empty() && digits(text, text.len()));
            is_number(count) && is_number(process) && name.is_some_and(is_entry)
        })
    };
    let parts: Vec<&str> = path.split('/').collect();
    match parts.as_slice() {
        ["" | "vigie.pid" | "state" | "journal" | "spool" | "lake"] => true,
        ["state", file] => matches!(*file, "state.sqlite" | "state.sqlite-wal" | "state.sqlite-shm" | "state.sqlite-journal"),
        ["journal", "positions.redb" | "positions.txt" | "positions.new"]
        | ["spool" | "lake", "main"]
        | ["lake", "main", "events"] => true,
        ["spool", "main", file] => file.strip_suffix(".spool").is_some_and(|number| digits(number, 20)),
        ["lake", "main", "events", folder] => matches!(*folder, "_delta_log" | "_vigie") || is_day(folder),
        ["lake", "main", "events", "_delta_log", file] => is_entry(file) || is_new_entry(file),
        ["lake", "main", "events", "_vigie", file] => matches!(*file, "needle" | "purge.ndjson" | "clock.json" | "clock.new"),
        ["lake", "main", "events", "_vigie", "needle", file] => file.strip_suffix(".needle").is_some_and(is_numbered),
        ["lake", "main", "events", day, file] => is_day(day) && file.strip_suffix(".parquet").is_some_and(is_numbered),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_told_from_reads() {
        let trace = concat!(
            "7 openat(AT_FDCWD, \"/etc/passwd\", O_RDONLY|O_CLOEXEC) = 3\n",
            "7 openat(AT_FDCWD, \"/tmp/a\", O_RDWR|O_CREAT|O_CLOEXEC, 0666 <unfinished ...>\n",
            "7 <... openat resumed>) = 3\n",
            "7 openat(AT_FDCWD, \"/tmp\", O_RDWR|O_TMPFILE|O_CLOEXEC, 0600) = 3\n",
            "8 linkat(AT_FDCWD, \"/b\", AT_FDCWD, \"/c\", 0) = -1 EEXIST (File exists)\n",
            "8 +++ exited with 0 +++\n",
        );
        let seen: Vec<(String, bool)> = changes(trace).into_iter().map(|change| (change.path, change.is_nameless)).collect();
        let expected = [("/tmp/a", false), ("/tmp", true), ("/b", false), ("/c", false)];
        assert_eq!(seen, expected.map(|(path, is_nameless)| (path.to_owned(), is_nameless)));
    }

    #[test]
    fn names_of_the_service_are_known_and_no_others() {
        for path in [
            "",
            "spool/main/00000000000000000001.spool",
            "lake/main/events/day=2026-11-20/000018eb01e6500ccdea-8dc-1.parquet",
            "lake/main/events/_vigie/needle/000018eb01e6500ccdea-8dc-1.needle",
            "lake/main/events/_delta_log/00000000000000000003.json",
            "lake/main/events/_delta_log/.00000000000000000003.json.2268.3.tmp",
            "lake/main/events/_delta_log/00000000000000000050.checkpoint.parquet",
        ] {
            assert!(is_known(path), "{path}");
        }
        for path in [
            "x",
            "../x",
            "lake/main/events/day=../../x/a.parquet",
            "lake/main/events/x",
            "lake/other",
            "spool/main/x.spool",
            "lake/main/events/_delta_log/.x.1.2.tmp",
            "lake/main/events/day=2026-11-20/../x.parquet",
        ] {
            assert!(!is_known(path), "{path}");
        }
    }
}
