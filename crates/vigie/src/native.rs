//! `vigie native`: what providers detect by themselves, beside what our rules look for, by technique.
//!
//! The catalogue of a provider is `content/vendors/<vendor>/findings.tsv`, one row for each type of
//! finding that one of its services documents.

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;

use serde_json::{Value, json};

use crate::arguments::{NativeFormat, NativeOptions};
use crate::attack::{Attack, rows};
use crate::content::Content;
use crate::coverage::{Watcher, attack, by_technique, of_providers, print, watchers};
use crate::error::Error;
use crate::output::line;

/// The columns of a catalogue.
const COLUMNS: [&str; 7] = ["service", "type", "attack", "needs", "delay", "price", "words"];
/// Longest description of a type.
const WORDS_CHARACTERS_MAX: usize = 160;
/// Mistakes of a catalogue that are named.
const FAULTS_MAX: usize = 5;

/// One type of finding of a provider's service.
struct FindingType<'c> {
    provider: &'c str,
    service: &'c str,
    name: &'c str,
    /// Techniques, as the catalogue writes them.
    techniques: Vec<String>,
    /// What must be switched on or installed.
    needs: &'c str,
    /// How long after the act it usually comes: `5m`, `1h`, `1d`, with `~` where that is an estimate.
    delay: &'c str,
    /// What is paid for.
    price: &'c str,
    words: &'c str,
}

/// The catalogues of the content: path, provider.
fn catalogues<'c>(content: &'c Content) -> Vec<(&'c str, &'c str)> {
    let pair = |path: &'c String| Some((path.as_str(), path.strip_prefix("vendors/")?.strip_suffix("/findings.tsv")?));
    content.files.keys().filter_map(pair).collect()
}

fn read<'c>(content: &'c Content, path: &'c str, provider: &'c str) -> Result<Vec<FindingType<'c>>, Error> {
    let finding = |[service, name, attack, needs, delay, price, words]: [&'c str; 7]| {
        let techniques = attack.split(',').filter(|id| !id.is_empty()).map(str::to_owned).collect();
        FindingType { provider, service, name, techniques, needs, delay, price, words }
    };
    Ok(rows(content, path, COLUMNS)?.into_iter().map(finding).collect())
}

/// Checks every catalogue: `check` gets a name and what is wrong.
pub(crate) fn verify(content: &Content, check: &mut dyn FnMut(String, Result<(), String>)) -> Result<(), Error> {
    let attack = Attack::read(content)?;
    for (path, provider) in catalogues(content) {
        let types = match read(content, path, provider) {
            Ok(types) => types,
            Err(error) => {
                check(path.to_owned(), Err(error.to_string()));
                continue;
            }
        };
        let mut seen = BTreeSet::new();
        let mut faults: Vec<String> = Vec::new();
        for finding in &types {
            let what = format!("{} {}", finding.service, finding.name);
            faults.extend(fault(finding, attack.as_ref()).map(|why| format!("{what} {why}")));
            if !seen.insert((finding.service, finding.name)) {
                faults.push(format!("{what} stands there twice"));
            }
        }
        let more = faults.len().saturating_sub(FAULTS_MAX);
        faults.truncate(FAULTS_MAX);
        if more > 0 {
            faults.push(format!("and {more} more"));
        }
        let result = if faults.is_empty() { Ok(()) } else { Err(faults.join("; ")) };
        check(format!("{path} describes {} types of findings", types.len()), result);
    }
    Ok(())
}

/// What is wrong with one row.
fn fault(finding: &FindingType<'_>, attack: Option<&Attack>) -> Option<String> {
    let empty = [("service", finding.service), ("type", finding.name), ("needs", finding.needs), ("words", finding.words)];
    if let Some((column, _)) = empty.iter().find(|(_, text)| text.trim().is_empty()) {
        return Some(format!("has nothing in the column {column}"));
    }
    if finding.words.chars().count() > WORDS_CHARACTERS_MAX {
        return Some(format!("takes more than {WORDS_CHARACTERS_MAX} characters to describe"));
    }
    if !is_delay(finding.delay) {
        return Some(format!("has the delay `{}`; write unknown, or a time such as 5m, ~1h, 1d", finding.delay));
    }
    let unknown = |id: &&String| attack.is_some_and(|attack| attack.current(id).is_none());
    finding.techniques.iter().find(unknown).map(|id| format!("names `{id}`, which is no technique of ATT&CK"))
}

fn is_delay(text: &str) -> bool {
    let time = text.strip_prefix('~').unwrap_or(text);
    let number = time.strip_suffix(['m', 'h', 'd']);
    text == "unknown" || number.is_some_and(|number| !number.is_empty() && number.chars().all(|digit| digit.is_ascii_digit()))
}

/// Who looks for a technique.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cover {
    Both,
    Native,
    Ours,
    Nobody,
}

impl Cover {
    const ALL: [Cover; 4] = [Cover::Both, Cover::Native, Cover::Ours, Cover::Nobody];

    fn word(self) -> &'static str {
        match self {
            Cover::Both => "native and ours",
            Cover::Native => "native only",
            Cover::Ours => "ours only",
            Cover::Nobody => "nobody",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Cover::Both => "Native and ours",
            Cover::Native => "Native only",
            Cover::Ours => "Ours only",
            Cover::Nobody => "Nobody",
        }
    }
}

/// What looks for one technique.
#[derive(Default)]
struct Entry<'a> {
    native: Vec<&'a FindingType<'a>>,
    rules: Vec<&'a Watcher>,
}

impl Entry<'_> {
    fn cover(&self) -> Cover {
        match (self.native.is_empty(), self.rules.is_empty()) {
            (false, false) => Cover::Both,
            (false, true) => Cover::Native,
            (true, false) => Cover::Ours,
            (true, true) => Cover::Nobody,
        }
    }
}

/// Runs the command.
pub(crate) fn run(options: &NativeOptions) -> Result<ExitCode, Error> {
    let content = Content::tree(options.content.as_deref())?;
    let attack = attack(&content)?;
    let mappings = content.mappings()?;
    let known = catalogues(&content);
    let names = mappings.iter().map(|mapping| mapping.log.product()).chain(known.iter().map(|(_, provider)| *provider));
    let watchers = of_providers(watchers(&content, &mappings, &options.rules)?, &options.provider, names)?;
    let mut types = Vec::new();
    for &(path, provider) in &known {
        if options.provider.is_empty() || options.provider.iter().any(|name| name == provider) {
            types.extend(read(&content, path, provider)?);
        }
    }
    let entries = entries(&attack, &types, &watchers);
    match options.format {
        NativeFormat::Text => text(&attack, &types, &watchers, &entries)?,
        NativeFormat::Json => print(&Value::from_iter(entries.iter().map(|(id, entry)| {
            let native: Vec<Value> = entry.native.iter().map(|finding| described(finding)).collect();
            let rules: Vec<&str> = entry.rules.iter().map(|rule| rule.id.as_str()).collect();
            let word = entry.cover().word();
            json!({ "technique": id, "name": attack.name(id), "covered": word, "native": native, "rules": rules })
        })))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn described(finding: &FindingType<'_>) -> Value {
    json!({
        "provider": finding.provider, "service": finding.service, "type": finding.name, "needs": finding.needs,
        "delay": finding.delay, "price": finding.price, "words": finding.words,
    })
}

/// Techniques of clouds and applications, and all others that somebody looks for.
fn entries<'a>(attack: &'a Attack, types: &'a [FindingType<'a>], watchers: &'a [Watcher]) -> BTreeMap<&'a str, Entry<'a>> {
    let mut entries: BTreeMap<&str, Entry<'a>> = BTreeMap::new();
    for (id, _) in attack.techniques.iter().filter(|(_, technique)| technique.is_cloud) {
        entries.entry(id).or_default();
    }
    for finding in types {
        for id in attack.lineage(&finding.techniques) {
            entries.entry(id).or_default().native.push(finding);
        }
    }
    for (id, rules) in by_technique(attack, watchers) {
        entries.entry(id).or_default().rules = rules;
    }
    entries
}

fn text(
    attack: &Attack,
    types: &[FindingType<'_>],
    watchers: &[Watcher],
    entries: &BTreeMap<&str, Entry<'_>>,
) -> Result<(), Error> {
    let of = |cover: Cover| entries.iter().filter(move |(_, entry)| entry.cover() == cover);
    let counts: Vec<String> = Cover::ALL.iter().map(|cover| format!("{} {}", of(*cover).count(), cover.word())).collect();
    let services: BTreeSet<String> = types.iter().map(|finding| format!("{} {}", finding.provider, finding.service)).collect();
    let services = if services.is_empty() { "no catalogue".to_owned() } else { Vec::from_iter(services).join(", ") };
    line(format_args!("ATT&CK {}: {} techniques; {}", attack.release.version, entries.len(), counts.join("; ")))?;
    line(format_args!("{} types of findings ({services}), {} rules", types.len(), watchers.len()))?;
    for cover in Cover::ALL {
        line(format_args!("\n{} ({})", cover.title(), of(cover).count()))?;
        for (id, entry) in of(cover) {
            let mut more = String::new();
            if !entry.native.is_empty() {
                let set = |part: fn(&FindingType<'_>) -> String| -> String {
                    let parts: BTreeSet<String> = entry.native.iter().map(|finding| part(finding)).collect();
                    Vec::from_iter(parts).join("; ")
                };
                let delays = set(|finding| finding.delay.to_owned());
                let needs = set(|finding| finding.needs.to_owned());
                more = format!("  native {} (after {delays}; needs {needs})", entry.native.len());
            }
            if !entry.rules.is_empty() {
                more.push_str(&format!("  ours {}", entry.rules.len()));
            }
            line(format_args!("  {id:<9}  {}{more}", attack.name(id)))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::verify;
    use crate::content::Content;

    const GOOD: &str = "Guard\tOne:Thing/Seen\tT1078.004,T1562.008\tGuard\t~15m\tper event\tSomething was seen.";

    /// What is said of a catalogue of these rows, where it is not right.
    #[track_caller]
    fn check(rows: &[&str], expected: Option<&str>) {
        let mut content = Content::embedded();
        content.files.retain(|path, _| !path.ends_with("/findings.tsv"));
        let header = "# A comment.\nservice\ttype\tattack\tneeds\tdelay\tprice\twords\n";
        content.files.insert("vendors/some/findings.tsv".to_owned(), format!("{header}{}\n", rows.join("\n")));
        let mut said = Vec::new();
        verify(&content, &mut |_, result| said.push(result)).unwrap();
        match expected {
            None => assert!(matches!(said.as_slice(), [Ok(())]), "{rows:?}: {said:?}"),
            Some(why) => assert!(matches!(said.as_slice(), [Err(told)] if told.contains(why)), "{rows:?}: {said:?}"),
        }
    }

    #[test]
    fn a_catalogue_says_what_is_wrong_in_it() {
        check(&[GOOD], None);
        check(&[&GOOD.replace("~15m", "unknown"), &GOOD.replace("One:", "Two:")], None);
        check(&[GOOD, GOOD], Some("stands there twice"));
        check(&[&GOOD.replace("~15m", "soon")], Some("has the delay `soon`"));
        check(&[&GOOD.replace("~15m", "m")], Some("has the delay `m`"));
        check(&[&GOOD.replace("T1078.004", "T9999")], Some("names `T9999`"));
        check(&[&GOOD.replace("Something was seen.", " ")], Some("nothing in the column words"));
        check(&[&GOOD.replace("\tper event", "")], Some("has 6 columns; the header has 7"));
    }
}
