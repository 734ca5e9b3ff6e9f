//! What the machine says of itself before it is trusted.

use vigie_tests::vigie;

#[test]
fn the_doctor_says_in_plain_words_what_it_looked_at() {
    let folder = tempfile::tempdir().unwrap();
    let ran = vigie(&["doctor", "--data", folder.path().to_str().unwrap()]).unwrap();
    assert!([0, 3].contains(&ran.code), "{} {}", ran.out, ran.err);
    for name in ["disk", "flush", "clock", "place", "permissions", "tables"] {
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

#[test]
fn names_of_retention_are_those_of_the_content() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_str().unwrap();
    let show = |settings: &str, more: &[&str]| {
        std::fs::write(folder.path().join("vigie.toml"), settings).unwrap();
        let mut arguments = vec!["config", "show", "--data", data];
        arguments.extend(more);
        vigie(&arguments).unwrap()
    };
    let ran = show("[retention]\nby = { \"generic/json\" = 7 }\n[retention.by_class]\n4001 = 90\nauthentication = 400\n", &[]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    for shown in [
        "retention.by.\"generic/json\" = 7  (",
        "retention.by_class.\"4001\" = 90  (",
        "retention.by_class.\"authentication\" = 400  (",
    ] {
        assert!(ran.out.lines().any(|line| line.starts_with(shown) && line.contains("vigie.toml")), "{shown}: {}", ran.out);
    }
    for (settings, near) in [
        ("[retention.by_class]\nauthentification = 1\n", "`authentication` (3002)"),
        ("[retention.by_class]\n3202 = 1\n", "`3002` (authentication)"),
        ("[retention.by]\n\"aws/cloudtrial\" = 1\n", "`aws/cloudtrail`"),
    ] {
        let ran = show(settings, &[]);
        assert!(ran.code == 2 && ran.err.contains(near), "{settings}: {} {}", ran.code, ran.err);
    }
    // A log type of one's own is known where its content is given.
    let own = folder.path().join("content/vendors/aws/logs/copied");
    std::fs::create_dir_all(&own).unwrap();
    let stock = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../content/vendors/aws/logs/cloudtrail");
    for file in ["log.toml", "mapping.toml", "operations.tsv"] {
        let text = std::fs::read_to_string(stock.join(file)).unwrap();
        std::fs::write(own.join(file), text.replace("id = \"aws/cloudtrail\"", "id = \"aws/copied\"")).unwrap();
    }
    let settings = "[retention.by]\n\"aws/copied\" = 1\n";
    let content = folder.path().join("content");
    assert_eq!(show(settings, &[]).code, 2);
    let ran = show(settings, &["--content", content.to_str().unwrap()]);
    assert!(ran.code == 0 && ran.out.contains("retention.by.\"aws/copied\" = 1"), "{} {}", ran.out, ran.err);
}
