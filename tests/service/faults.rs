//! Disks that refuse: what is acknowledged is kept, what cannot be kept is refused (G6, G7).

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use vigie_tests::service::{Service, ask, deliver, record};
use vigie_tests::vigie;

fn batch(first: u64, count: u64) -> String {
    (first..first + count).map(|number| record(number) + "\n").collect()
}

/// T4: one flush or write fails, of the spool, of the journal or of the lake; then the process is killed.
#[test]
fn done_lake_2_t4_a_failed_flush_acknowledges_nothing() {
    let faults: [(&str, &str); 5] = [
        ("fdatasync", "error=EIO"),
        ("fsync", "error=EIO"),
        // Files of the state and the journal; a plain write also wakes threads, which no disk refuses.
        ("pwrite64", "error=ENOSPC"),
        ("fsync", "signal=SIGKILL"),
        ("fdatasync", "signal=SIGKILL"),
    ];
    let runs = if std::env::var_os("VIGIE_SOAK").is_some() { 40 } else { 6 };
    let (mut acknowledged, mut refused) = (0, 0);
    for (call, fault) in faults {
        for run in 0..runs {
            let folder = tempfile::tempdir().unwrap();
            let data = folder.path().join("data");
            let service = Service::start(&data, &["--commit-seconds", "0.05"]).unwrap();
            let token = service.token.clone().unwrap();
            assert!(service.stop());
            // A start flushes many folders: the later flushes are those of its work.
            let step = if call == "fsync" { 6 } else { 3 };
            let when = format!("inject={call}:{fault}:when={}", 1 + run * step);
            let traced = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={call}"), "-e", &when];
            // The fault may strike while it starts, or while it works.
            let mut kept = Vec::new();
            if let Ok(service) = Service::start_under(&traced, &data, &["--commit-seconds", "0.05"]) {
                for number in 0..25 {
                    let body = batch(number * 10, 10);
                    match deliver(service.address, &token, "/api/v1/ingest/aws/cloudtrail", body.as_bytes()) {
                        Ok((200, _)) => kept.extend(number * 10..number * 10 + 10),
                        Ok((503, answer)) => {
                            refused += 1;
                            assert!(answer.to_string().contains("nothing of this delivery was kept"), "{answer}");
                        }
                        Ok((status, answer)) => panic!("{status}: {answer}"),
                        Err(_) => break,
                    }
                }
                service.kill();
            }
            let service = Service::start(&data, &["--commit-seconds", "0.05"]).unwrap();
            assert!(service.stop());
            acknowledged += kept.len();
            let stored = stored(&data);
            let is_there = |number: &u64| stored.contains(&format!("R{number:010}"));
            let lost: Vec<&u64> = kept.iter().filter(|number| !is_there(number)).collect();
            assert!(lost.is_empty(), "{when}: {lost:?} are missing");
        }
    }
    println!("{} faults: {acknowledged} events acknowledged, none lost, {refused} deliveries refused", faults.len() * runs);
}

fn stored(data: &Path) -> std::collections::BTreeSet<String> {
    let ran = vigie(&["sql", "select raw from events", "--data", data.to_str().unwrap()]).unwrap();
    let id = |line: &str| Some(line.split_once(r#"\"requestID\":\""#)?.1.split_once('\\')?.0.to_owned());
    ran.out.lines().filter_map(id).collect()
}

/// T5: a disk that fills. The last 256 MiB stay free, searches go on, and intake resumes by itself.
#[test]
fn done_lake_2_t5_a_full_disk_refuses_and_resumes() {
    let folder = tempfile::tempdir().unwrap();
    let mount = folder.path().join("disk");
    std::fs::create_dir(&mount).unwrap();
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=330m", "tmpfs"]).arg(&mount).status();
    assert!(mounted.is_ok_and(|status| status.success()), "this test mounts a small disk: run it as root");
    let _unmount = Unmount(&mount);
    let data = mount.join("data");
    let service = Service::start(&data, &["--commit-seconds", "0.1"]).unwrap();
    let token = service.token.clone().unwrap();
    let send =
        |first: u64| deliver(service.address, &token, "/api/v1/ingest/aws/cloudtrail", batch(first, 10).as_bytes()).unwrap();
    assert_eq!(send(0).0, 200);
    let ballast = mount.join("ballast");
    std::fs::write(&ballast, vec![1u8; 90 * 1024 * 1024]).unwrap();
    let (status, answer) = send(10);
    assert!(status == 503 && answer.to_string().contains("less than 256 MiB free"), "{status}: {answer}");
    let count = || ask(service.address, &token, "select count(*) from events").unwrap()[0][0].as_u64();
    assert!(count().is_some(), "searches go on");
    std::fs::remove_file(&ballast).unwrap();
    let freed = Instant::now();
    while send(20).0 != 200 {
        assert!(freed.elapsed() < Duration::from_secs(5));
    }
    assert!(service.stop());
    assert_eq!(stored(&data).len(), 20);
    println!("refused with 503 while the disk was full, resumed in {} ms", freed.elapsed().as_millis());
}

struct Unmount<'m>(&'m Path);

impl Drop for Unmount<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").args(["-l"]).arg(self.0).status();
    }
}
