//! No markup is born: payloads in every text of the records, and the page is built like that of harmless ones.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use html5ever::tendril::TendrilSink;
use html5ever::{ParseOpts, parse_document};
use markup5ever_rcdom::{Handle, NodeData, RcDom};
use serde_json::{Value, json};
use vigie_tests::vigie;

use crate::payloads::{COUNT, harmless, hostile};

/// What stands in the fields of a record, by number.
type Text = fn(usize) -> String;
/// The records of one number.
type Make = fn(Text, usize) -> Vec<Value>;

/// Matches whatever its service and operation are called.
const RULE: &str = "title: Probe\nid: 5b0c1c52-2f0e-4a0f-9d8e-0c8f2a3b4c5d\nlogsource: {product: aws, service: cloudtrail}\ndetection: {s: {eventType: Probe}, condition: s}\nlevel: medium\n";
/// Attributes that may name an address.
const ADDRESSES: [&str; 9] = ["href", "src", "action", "formaction", "data", "srcdoc", "srcset", "poster", "background"];
/// Records that act through one credential: so many stories are told in full.
const STORY_RECORDS: usize = 25;

/// What a page is made of, as a browser reads it.
#[derive(Default)]
struct Page {
    /// How often each element stands in it, and each attribute of an element.
    parts: BTreeMap<(String, String), usize>,
    /// What is read as text.
    text: String,
    /// What is read as style or script.
    code: String,
    comments: Vec<String>,
    addresses: Vec<String>,
    /// What `meta` elements say for a header of HTTP.
    headers: Vec<(String, String)>,
}

impl Page {
    fn parse(html: &str) -> Page {
        let dom = parse_document(RcDom::default(), ParseOpts::default()).from_utf8().read_from(&mut html.as_bytes()).unwrap();
        let mut page = Page::default();
        let mut waiting: Vec<(Handle, bool)> = vec![(dom.document.clone(), false)];
        while let Some((node, is_code)) = waiting.pop() {
            let is_code = page.add(&node, is_code);
            waiting.extend(node.children.borrow().iter().map(|child| (child.clone(), is_code)));
        }
        page
    }

    /// Adds a node; gives whether text below it is style or script.
    fn add(&mut self, node: &Handle, is_code: bool) -> bool {
        match &node.data {
            NodeData::Text { contents } => {
                let place = if is_code { &mut self.code } else { &mut self.text };
                place.push_str(&contents.borrow());
                place.push('\n');
            }
            NodeData::Comment { contents } => self.comments.push(contents.to_string()),
            NodeData::Element { name, attrs, .. } => {
                let element = name.local.to_string();
                let mut values = BTreeMap::new();
                for attribute in attrs.borrow().iter() {
                    values.insert(attribute.name.local.to_string(), attribute.value.to_string());
                }
                self.element(&element, &values);
                return matches!(element.as_str(), "style" | "script");
            }
            _ => {}
        }
        is_code
    }

    fn element(&mut self, element: &str, values: &BTreeMap<String, String>) {
        // How the page holds words with a dash together: as many as there are such words.
        if element == "span" && values.len() == 1 && values.get("class").is_some_and(|class| class == "nowrap") {
            return;
        }
        let mut count = |attribute: &str| *self.parts.entry((element.to_owned(), attribute.to_owned())).or_default() += 1;
        count("");
        values.keys().for_each(|attribute| count(attribute));
        self.addresses.extend(ADDRESSES.iter().filter_map(|name| values.get(*name).cloned()));
        if let Some(header) = values.get("http-equiv") {
            self.headers.push((header.clone(), values.get("content").cloned().unwrap_or_default()));
        }
    }

    /// The numbers of the payloads that stand in its text.
    fn shown(&self) -> BTreeSet<usize> {
        self.text.split("xss").skip(1).filter_map(|rest| rest.get(..3)?.parse().ok()).collect()
    }

    /// Nothing in it runs, nothing in it is loaded, and a policy forbids both.
    fn check_inert(&self, name: &str) {
        for (element, attribute) in self.parts.keys() {
            let runs = ["script", "iframe", "object", "embed", "base", "link", "form", "template", "img"];
            assert!(!runs.contains(&element.as_str()), "{name}: <{element}>");
            assert!(!attribute.starts_with("on") && attribute != "style", "{name}: <{element} {attribute}>");
        }
        for address in &self.addresses {
            assert!(address.starts_with('#'), "{name}: leads out of the page to {address}");
        }
        assert!(self.comments.is_empty(), "{name}: {:?}", self.comments);
        assert!(!self.code.contains("xss"), "{name}: a payload stands in the style sheet");
        let [(header, policy)] = self.headers.as_slice() else {
            panic!("{name}: one header of HTTP, not {:?}", self.headers);
        };
        assert_eq!(header, "Content-Security-Policy", "{name}");
        assert!(policy.starts_with("default-src 'none'"), "{name}: {policy}");
        for word in ["unsafe-", "script-src", "*"] {
            assert!(!policy.contains(word), "{name}: {word} in {policy}");
        }
    }
}

/// A record that a rule finds, each field a text of its own, the credential one for each story.
fn record(text: Text, number: usize) -> Value {
    let own = |field: usize| text(number + field);
    json!({
        "eventVersion": "1.11",
        "userIdentity": {
            "type": "IAMUser", "principalId": own(0), "accountId": own(1), "userName": own(2), "arn": own(3),
            "accessKeyId": text(number / STORY_RECORDS * STORY_RECORDS)
        },
        "eventTime": format!("2026-11-12T02:{:02}:{:02}Z", number / 60, number % 60),
        "eventSource": "cloudtrail.amazonaws.com", "eventName": "StopLogging", "awsRegion": own(5),
        "sourceIPAddress": own(6), "userAgent": own(7), "requestParameters": { "name": own(8) },
        "requestID": own(9), "eventID": own(0), "eventType": own(10), "errorMessage": own(11),
        "recipientAccountId": own(12), "eventCategory": own(13)
    })
}

/// A refused call, a call that nobody has a sentence for, and one that gives something to another
/// party: three rules in turn, so that each finding is a line of its own.
fn stories(text: Text, number: usize) -> Vec<Value> {
    let own = |field: usize| text(number + field);
    let mut record = record(text, number);
    match number % 3 {
        0 => record["errorCode"] = format!("AccessDenied {}", own(14)).into(),
        1 => {
            record["eventType"] = "Probe".into();
            record["eventName"] = own(15).into();
            record["eventSource"] = own(16).into();
        }
        _ => {
            let items = json!([{ "userId": format!("peer {}", own(18)) }]);
            record["eventSource"] = "ec2.amazonaws.com".into();
            record["eventName"] = "ModifySnapshotAttribute".into();
            record["requestParameters"] =
                json!({ "snapshotId": own(17), "createVolumePermission": { "add": { "items": items } } });
        }
    }
    vec![record]
}

/// A session that somebody opens and then uses: the page shows who acts through whom.
fn chains(text: Text, number: usize) -> Vec<Value> {
    let own = |field: usize| text(number + field);
    let session = format!("session {}", own(3));
    let mut opened = record(text, number);
    opened["eventSource"] = "sts.amazonaws.com".into();
    opened["eventName"] = "AssumeRole".into();
    opened["eventID"] = format!("opened {}", own(0)).into();
    opened["requestParameters"] = json!({ "roleArn": own(1), "roleSessionName": own(2) });
    opened["responseElements"] = json!({
        "credentials": { "accessKeyId": session }, "assumedRoleUser": { "arn": own(4), "assumedRoleId": own(5) }
    });
    let mut used = record(text, number);
    used["userIdentity"] = json!({
        "type": "AssumedRole", "principalId": own(3), "accountId": own(4), "arn": own(4), "accessKeyId": session,
        "sessionContext": { "sessionIssuer": { "arn": own(6), "userName": own(7) }, "sourceIdentity": own(8) }
    });
    vec![opened, used]
}

/// A credential of its own for each record: the page lists the other actors.
fn actors(text: Text, number: usize) -> Vec<Value> {
    let mut record = record(text, number);
    record["userIdentity"]["accessKeyId"] = text(number).into();
    vec![record]
}

/// Writes the records of every number into one file, and for each number a file without records
/// that is named by its text; a slash in a name makes a folder.
fn write(folder: &Path, make: Make, text: Text) -> PathBuf {
    let folder = folder.join(text(2));
    fs::create_dir_all(&folder).unwrap();
    let records: Vec<String> = (0..COUNT).flat_map(|number| make(text, number)).map(|record| record.to_string()).collect();
    fs::write(folder.join("logs.json"), records.join("\n")).unwrap();
    for number in 0..COUNT {
        let file = folder.join(format!("n{number:03} {}.txt", text(number).replace('\0', "")));
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, "some text").unwrap();
    }
    folder
}

fn hunt(folder: &Path, rule: &Path, language: &str) -> Page {
    let (logs, rule) = (folder.to_str().unwrap(), rule.to_str().unwrap());
    let ran = vigie(&["hunt", logs, "--rules", rule, "--lang", language, "-o", "html"]).unwrap();
    assert_eq!(ran.code, 3, "{}", ran.err);
    assert!(ran.err.contains(&COUNT.to_string()), "{}", ran.err);
    Page::parse(&ran.out)
}

#[test]
fn done_hunt_5_no_markup_is_born() {
    let folder = tempfile::tempdir().unwrap();
    let rule = folder.path().join("probe.yml");
    fs::write(&rule, RULE).unwrap();
    let kinds: [(&str, Make); 3] = [("stories", stories), ("chains", chains), ("actors", actors)];
    for (kind, make) in kinds {
        let poisoned = write(&folder.path().join(kind).join("poisoned"), make, hostile);
        let calm = write(&folder.path().join(kind).join("calm"), make, harmless);
        for language in ["en", "fr"] {
            let name = format!("{kind} in {language}");
            let (poisoned, calm) = (hunt(&poisoned, &rule, language), hunt(&calm, &rule, language));
            assert_eq!(poisoned.parts, calm.parts, "{name}: an element or attribute was born of a text");
            assert_eq!(
                poisoned.shown(),
                (0..COUNT).collect::<BTreeSet<_>>(),
                "{name}: every payload stands in the page, as text"
            );
            poisoned.check_inert(&name);
            println!("{name}: {COUNT} payloads, {} elements and attributes", poisoned.parts.values().sum::<usize>());
        }
    }
}

/// The payloads are worth something: where none of these places escapes, most of them become an
/// element or an attribute; the others are for links and scripts.
#[test]
fn payloads_bite_where_nothing_escapes_them() {
    let places = [
        ("<p>", "</p>"),
        ("<p title=\"", "\"></p>"),
        ("<p title='", "'></p>"),
        ("<title>", "</title>"),
        ("<style>", "</style>"),
        ("<!--", "-->"),
    ];
    let bites = |number: &usize| {
        places.iter().any(|(before, behind)| {
            let parts = |text: &str| Page::parse(&format!("<!doctype html>{before}{text}{behind}")).parts;
            parts(&hostile(*number)) != parts("calm")
        })
    };
    let biting = (0..COUNT).filter(bites).count();
    assert!(biting >= COUNT * 8 / 10, "{biting} of {COUNT}");
    assert_eq!((0..COUNT).map(hostile).collect::<BTreeSet<_>>().len(), COUNT);
}
