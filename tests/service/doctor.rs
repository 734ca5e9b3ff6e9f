//! What the machine says of itself before it is trusted.

use vigie_tests::vigie;

#[test]
fn the_doctor_says_in_plain_words_what_it_looked_at() {
    let folder = tempfile::tempdir().unwrap();
    let ran = vigie(&["doctor", "--data", folder.path().to_str().unwrap()]).unwrap();
    assert!([0, 3].contains(&ran.code), "{} {}", ran.out, ran.err);
    for name in ["disk", "flush", "clock", "place", "permissions"] {
        assert!(ran.out.lines().any(|line| line.split_whitespace().nth(1) == Some(name)), "{name}: {}", ran.out);
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "it leaves nothing behind");
}

#[test]
fn every_setting_says_where_it_came_from() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_str().unwrap();
    std::fs::write(folder.path().join("vigie.toml"), "[retention]\ndays = 30\n").unwrap();
    let ran = vigie(&["config", "show", "--data", data]).unwrap();
    assert!(ran.out.contains("listen.http = 127.0.0.1:8440  (built in)"), "{}", ran.out);
    assert!(ran.out.lines().any(|line| line.starts_with("retention.days = 30") && line.contains("vigie.toml")), "{}", ran.out);
    std::fs::write(folder.path().join("vigie.toml"), "[retention]\ndayz = 30\n").unwrap();
    let ran = vigie(&["config", "show", "--data", data]).unwrap();
    assert!(ran.code == 2 && ran.err.contains("dayz"), "{}", ran.err);
}
