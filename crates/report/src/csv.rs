//! Findings as CSV, one a line, for spreadsheets.

use vigie_estate::Chain;
use vigie_model::{Finding, RuleFacts, format_utc};

use crate::escape::cell;
use crate::words::Language;

/// The first line of a CSV export, with its line end.
pub fn csv_header() -> &'static str {
    "time,end_time,severity,title,actor,origin,credential,address,operation,target,account,region,error,events,techniques,rule,finding,event\r\n"
}

/// A finding as one CSV line, with its line end.
pub fn csv_line(finding: &Finding, rule: &RuleFacts, chain: &Chain, language: Language) -> String {
    let event = &finding.event;
    let origin = chain.origin().map(|origin| if origin.person.is_empty() { origin.name.clone() } else { origin.person.clone() });
    let cells = [
        format_utc(finding.first),
        format_utc(finding.last),
        rule.severity.word().to_owned(),
        language.title(rule).to_owned(),
        event.actor.clone(),
        origin.unwrap_or_default(),
        event.credential.clone(),
        event.address.clone(),
        event.operation.clone(),
        event.target.clone(),
        event.account.clone(),
        event.region.clone(),
        event.error.clone(),
        finding.events.to_string(),
        rule.techniques.join(" "),
        rule.id.clone(),
        finding.uid.clone(),
        event.uid.clone(),
    ];
    let cells: Vec<String> = cells.iter().map(|text| cell(text)).collect();
    format!("{}\r\n", cells.join(","))
}
