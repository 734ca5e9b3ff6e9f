//! How long events are kept, as the settings say it: by log type, and by the name or number of a class.

use std::collections::BTreeMap;

use serde::Deserialize;
use vigie_lake::Retention;
use vigie_model::Tenant;

use crate::content::Content;
use crate::error::Error;
use crate::service::reload::shaper;

/// Days after which events are purged, for what no entry names: twelve months.
const DAYS_KEPT: u32 = 365;
/// What the table of classes leaves out: the class of events without a mapping, and of records in
/// quarantine.
const BASE_CLASS: (&str, u32) = ("base_event", 0);
/// Names that are offered for one that nobody knows.
const NEAR_MAX: usize = 3;

/// The part `[retention]` of the file of settings.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RetentionFile {
    days: Option<u32>,
    /// By log type.
    by: BTreeMap<String, u32>,
    /// By the name or number of a class.
    by_class: BTreeMap<String, u32>,
}

impl RetentionFile {
    /// What the lake works with, each entry noted. The content says which log types and classes there are.
    pub(crate) fn read(self, content: &Content, note: &mut dyn FnMut(&str, String, bool, bool)) -> Result<Retention, Error> {
        let days = self.days.unwrap_or(DAYS_KEPT).max(1);
        note("retention.days", days.to_string(), false, self.days.is_some());
        // The log types are those of the intake, which takes a moment to make.
        let logs = if self.by.is_empty() { Vec::new() } else { log_types(content)? };
        for (name, days) in &self.by {
            if !logs.contains(name) {
                let near = near(name, logs.iter().map(|log| (log.clone(), format!("`{log}`"))));
                return Err(Error::Usage(format!(
                    "retention.by names `{name}`, which is no log type of the content: write one of its own, such as {near}, or \
                     give the content that has it with --content"
                )));
            }
            note(&format!("retention.by.\"{name}\""), days.to_string(), false, true);
        }
        let mut classes = content.classes();
        classes.insert(BASE_CLASS.0.to_owned(), BASE_CLASS.1);
        let mut by_class = BTreeMap::new();
        for (name, days) in &self.by_class {
            let class = class_of(name, &classes)?;
            if by_class.insert(class, *days).is_some() {
                return Err(Error::Usage(format!(
                    "retention.by_class names class {class} twice, by its name and by its number: keep one of the two"
                )));
            }
            note(&format!("retention.by_class.\"{name}\""), days.to_string(), false, true);
        }
        Ok(Retention { days, by_log: self.by, by_class })
    }
}

/// The log types that events can have.
fn log_types(content: &Content) -> Result<Vec<String>, Error> {
    let shaper = shaper(content, &Tenant::default())?;
    Ok(shaper.lanes().lanes.iter().map(|lane| lane.log.0.clone()).collect())
}

/// The number of a class that is named by it or by its name.
fn class_of(name: &str, classes: &BTreeMap<String, u32>) -> Result<u32, Error> {
    let number = name.parse::<u32>().ok();
    let known = match number {
        Some(number) => classes.values().copied().find(|class| *class == number),
        None => classes.get(name).copied(),
    };
    let each = classes.iter().map(|(name, class)| match number {
        Some(_) => (class.to_string(), format!("`{class}` ({name})")),
        None => (name.clone(), format!("`{name}` ({class})")),
    });
    known.ok_or_else(|| {
        let near = near(name, each);
        Error::Usage(format!(
            "retention.by_class names `{name}`, which is no class of OCSF 1.8.0: write the name or the number of one, such as {near}"
        ))
    })
}

/// The few of many names that are nearest to a wrong one, each as it is shown.
fn near(wrong: &str, names: impl Iterator<Item = (String, String)>) -> String {
    let wrong = wrong.to_lowercase().replace([' ', '-'], "_");
    let mut near: Vec<((bool, usize), String)> = names
        .map(|(name, shown)| {
            let name = name.to_lowercase().replace('-', "_");
            // A name that was not written to its end comes first.
            ((!name.contains(&wrong), changes(&wrong, &name)), shown)
        })
        .collect();
    near.sort();
    near.into_iter().take(NEAR_MAX).map(|(_, shown)| shown).collect::<Vec<_>>().join(", ")
}

/// How many letters are to be put in, taken out or changed to make one text of another (Levenshtein).
fn changes(from: &str, to: &str) -> usize {
    let mut before: Vec<usize> = (0..=to.chars().count()).collect();
    for (number, left) in from.chars().enumerate() {
        let mut last = number + 1;
        let mut row = vec![last];
        for ((right, above), across) in to.chars().zip(before.iter().skip(1)).zip(&before) {
            last = (across + usize::from(left != right)).min(above + 1).min(last + 1);
            row.push(last);
        }
        before = row;
    }
    before.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a part of the settings becomes, and the entries that are noted.
    fn read(text: &str) -> Result<(Retention, Vec<String>), Error> {
        let file: RetentionFile = toml::from_str(text).unwrap();
        let mut noted = Vec::new();
        let retention = file.read(&Content::embedded(), &mut |name, value, _, is_filed| {
            noted.push(format!("{name} = {value} {is_filed}"));
        })?;
        Ok((retention, noted))
    }

    #[test]
    fn classes_are_named_or_numbered() {
        let (retention, noted) = read("").unwrap();
        assert_eq!(retention, Retention { days: DAYS_KEPT, ..Retention::default() });
        assert_eq!(noted, ["retention.days = 365 false"]);
        let text = "days = 30\nby = { \"aws/cloudtrail\" = 730, \"generic/json\" = 7 }\n\
                    [by_class]\n4001 = 90\nauthentication = 400\nbase_event = 14\n";
        let (retention, noted) = read(text).unwrap();
        let by_log = [("aws/cloudtrail".to_owned(), 730), ("generic/json".to_owned(), 7)].into();
        assert_eq!(retention, Retention { days: 30, by_log, by_class: [(4001, 90), (3002, 400), (0, 14)].into() });
        assert_eq!(
            noted,
            [
                "retention.days = 30 true",
                "retention.by.\"aws/cloudtrail\" = 730 true",
                "retention.by.\"generic/json\" = 7 true",
                "retention.by_class.\"4001\" = 90 true",
                "retention.by_class.\"authentication\" = 400 true",
                "retention.by_class.\"base_event\" = 14 true",
            ]
        );
    }

    #[test]
    fn a_name_that_nobody_knows_is_answered_with_near_ones() {
        for (text, wanted) in [
            ("by_class = { netwrok_activity = 1 }", "`netwrok_activity`, which is no class of OCSF 1.8.0"),
            ("by_class = { netwrok_activity = 1 }", "such as `network_activity` (4001), "),
            ("by_class = { \"Network Activity\" = 1 }", "such as `network_activity` (4001), "),
            ("by_class = { http = 1 }", "such as `http_activity` (4002), "),
            ("by_class = { 4901 = 1 }", "such as `4001` (network_activity), "),
            ("by_class = { 3002 = 1, authentication = 1 }", "names class 3002 twice"),
            ("by = { \"aws/cloudtrial\" = 1 }", "`aws/cloudtrial`, which is no log type of the content"),
            ("by = { \"aws/cloudtrial\" = 1 }", "such as `aws/cloudtrail`, "),
            ("by = { json = 1 }", "such as `generic/json`, "),
        ] {
            match read(text) {
                Err(Error::Usage(why)) => assert!(why.contains(wanted), "{text}: {why}"),
                other => panic!("{text}: {other:?}"),
            }
        }
    }

    #[test]
    fn changes_are_counted_as_by_hand() {
        for (from, to, count) in [("", "", 0), ("", "abc", 3), ("abc", "", 3), ("kitten", "sitting", 3), ("ab", "ba", 2)] {
            assert_eq!(changes(from, to), count, "{from} {to}");
        }
    }
}
