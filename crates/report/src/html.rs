//! The story as one self-contained page: no script, no request, no inline style, every value escaped.

mod attack;
mod chain;
mod digest;
mod draw;
mod ending;
mod page;
mod plot;
mod table;
mod tables;
mod thread;
mod timeline;
mod view;

use vigie_model::Severity;

use self::page::Html;
use self::view::View;
use crate::story::{Story, Thread};
use crate::text::{ActivityOf, credential};
use crate::words::{Language, Words, Zone};

/// Threads told in full.
const THREADS_FULL_MAX: usize = 20;

/// The one style sheet; its lines are hashed as they are written.
const STYLE: &str = include_str!("html/style.css");

/// Shapes of severities, the mark of a doubt and the hatching of spans not recorded.
const SYMBOLS: &str = concat!(
    r##"<svg class="hidden" aria-hidden="true" focusable="false">"##,
    r##"<symbol id="g-critical" viewBox="0 0 12 12"><path class="solid" fill-rule="evenodd" d="M3.7.5h4.6L11.5 3.7v4.6L8.3 11.5H3.7L.5 8.3V3.7ZM5.2 2.8v4h1.6v-4ZM5.2 7.8v1.6h1.6V7.8Z"/></symbol>"##,
    r##"<symbol id="g-high" viewBox="0 0 12 12"><path class="solid" d="M6 .8 11.6 11H.4Z"/></symbol>"##,
    r##"<symbol id="g-medium" viewBox="0 0 12 12"><path d="M6 1.2 10.8 6 6 10.8 1.2 6Z"/><path class="solid" d="M1.2 6h9.6L6 10.8Z"/></symbol>"##,
    r##"<symbol id="g-low" viewBox="0 0 12 12"><circle cx="6" cy="6" r="4.2"/></symbol>"##,
    r##"<symbol id="g-info" viewBox="0 0 12 12"><path d="M2.5 6h7"/></symbol>"##,
    r##"<symbol id="g-unknown" viewBox="0 0 12 12"><circle cx="6" cy="6" r="4.7" stroke-dasharray="2.2 1.5"/><path d="M6 5.9v.2" stroke-width="2.2" stroke-linecap="round"/></symbol>"##,
    r##"<pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><path class="hatch" d="M0 0v6"/></pattern>"##,
    "</svg>\n",
);

/// The sign of the product.
const SIGN: &str = r##"<svg viewBox="0 0 20 20" width="20" height="20" aria-hidden="true"><path d="M3 6l7 11 7-11"/><circle cx="10" cy="5" r="2.4"/></svg>"##;

/// Writes the page.
pub fn html(story: &Story, words: &dyn Words, zone: &Zone, activity: &ActivityOf<'_>) -> String {
    let view = View { story, words, zone, activity };
    let told = story.threads.iter().filter(|thread| thread.severity >= Severity::Medium).take(THREADS_FULL_MAX).count();
    let (full, rest) = story.threads.split_at(told.min(story.threads.len()));
    let mut page = Html::default();
    let headline = headline(&view);
    head(&mut page, &view, &headline);
    page.raw("<body>\n");
    page.raw(SYMBOLS);
    page.raw("<a class=\"skip\" href=\"#main\">");
    page.text(&view.word("html.skip"));
    page.raw("</a>\n");
    masthead(&mut page, &view, &headline);
    contents(&mut page, &view, full, rest);
    page.raw("<main id=\"main\" tabindex=\"-1\">\n");
    for (index, thread) in full.iter().enumerate() {
        thread::section(&mut page, &view, thread, index + 1);
    }
    ending::others(&mut page, &view, rest);
    ending::rules(&mut page, &view);
    ending::unread(&mut page, &view);
    ending::unseen(&mut page, &view);
    page.raw("</main>\n");
    ending::foot(&mut page, &view);
    page.raw("</body>\n</html>\n");
    page.finish()
}

/// The first sentence of the text story.
fn headline(view: &View<'_>) -> String {
    let story = view.story;
    let logs: Vec<&str> = story.facts.logs.iter().map(|(log, _)| log.as_str()).collect();
    let serious = serious(story);
    let key = match (story.facts.events, story.findings, serious) {
        (0, ..) => "head.nothing",
        (_, 0, _) => "head.quiet",
        (_, _, 0) => "head.minor",
        (_, _, 1) => "head.one",
        _ => "head.many",
    };
    view.label(
        key,
        &[
            ("threads", &view.number(serious)),
            ("findings", &view.number(story.findings)),
            ("events", &view.number(story.facts.events)),
            ("logs", &logs.join(", ")),
            ("files", &view.number(story.facts.files)),
        ],
    )
}

fn serious(story: &Story) -> u64 {
    story.threads.iter().filter(|thread| thread.severity >= Severity::Medium).count() as u64
}

fn head(page: &mut Html, view: &View<'_>, headline: &str) {
    let language = if view.words.language() == Language::French { "fr" } else { "en" };
    let hash = digest::hash_source(STYLE.lines());
    let policy = format!("default-src 'none'; style-src {hash}; img-src data:; base-uri 'none'; form-action 'none'");
    page.raw("<!doctype html>\n");
    page.open("html", &[("lang", language)]);
    page.raw("\n<head>\n<meta charset=\"utf-8\">\n");
    page.open("meta", &[("http-equiv", "Content-Security-Policy"), ("content", &policy)]);
    page.raw("\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<meta name=\"color-scheme\" content=\"light dark\">\n");
    page.element("title", &[], &format!("Vigie \u{b7} {headline}"));
    page.raw("\n<style>");
    for line in STYLE.lines() {
        page.raw(line);
        page.raw("\n");
    }
    page.raw("</style>\n</head>\n");
}

fn masthead(page: &mut Html, view: &View<'_>, headline: &str) {
    let facts = &view.story.facts;
    page.raw("<header class=\"masthead\">\n<p class=\"brand\">");
    page.raw(SIGN);
    page.raw("<span>Vigie</span> <span class=\"quiet\">");
    page.text(&view.word("html.product"));
    page.raw("</span></p>\n");
    page.element("h1", &[], headline);
    if let Some((from, to)) = facts.span {
        page.prose(
            "p",
            &[("class", "lede")],
            &view.label(
                "head.span",
                &[
                    ("from", &view.zone.minute(from)),
                    ("to", &view.zone.minute(to)),
                    ("zone", &view.zone.name),
                    ("files", &view.number(facts.files)),
                    ("duplicates", &view.number(facts.duplicates)),
                    ("rules", &view.number(facts.rules)),
                ],
            ),
        );
    }
    // The verdict; what more there is to say of collection stands among what cannot be said.
    if let Some(verdict) = facts.proof.first() {
        page.element("p", &[("class", "lede")], verdict);
    }
    totals(page, view);
    page.raw("</header>\n");
}

/// Findings by severity, events by log, records not read.
fn totals(page: &mut Html, view: &View<'_>) {
    let story = view.story;
    page.raw("<ul class=\"totals\">");
    for severity in Severity::ALL.into_iter().rev() {
        let of = |rule: &u32| story.rules.get(*rule as usize).is_some_and(|facts| facts.severity == severity);
        let count: u64 = story.by_rule.iter().filter(|entry| of(entry.0)).map(|(_, count)| *count).sum();
        if count > 0 {
            page.raw("<li>");
            view.severity(page, severity);
            page.raw(" ");
            page.text(&view.number(count));
            page.raw("</li>");
        }
    }
    for (log, events) in &story.facts.logs {
        page.element("li", &[], &view.label("html.total.log", &[("log", log), ("count", &view.number(*events))]));
    }
    let unread: u64 = story.facts.rejects.iter().map(|(_, count)| *count).sum();
    if unread > 0 {
        page.raw("<li><a href=\"#unread\">");
        page.text(&view.counted("html.total.unread", unread));
        page.raw("</a></li>");
    }
    page.raw("</ul>\n");
}

/// Links to the parts of the page, where there are several.
fn contents(page: &mut Html, view: &View<'_>, full: &[Thread], rest: &[Thread]) {
    let has_rules = view.story.findings > 0 || !view.story.facts.silenced.is_empty();
    let parts = [
        (!rest.is_empty(), "#others", "html.others.title"),
        (has_rules, "#rules", "html.rules.title"),
        (ending::has_unread(view), "#unread", "unread.title"),
        (ending::has_unseen(view), "#unseen", "blind.title"),
    ];
    if full.len() + parts.iter().filter(|(is_there, ..)| *is_there).count() < 2 {
        return;
    }
    let name = view.word("html.contents");
    page.open("nav", &[("class", "contents"), ("aria-label", &name)]);
    page.raw("<ul>\n");
    for (index, thread) in full.iter().enumerate() {
        page.raw("<li>");
        page.open("a", &[("href", &format!("#story-{}", index + 1))]);
        view.severity(page, thread.severity);
        page.raw(" ");
        page.text(&credential(&thread.lead, view.words));
        page.raw("</a></li>\n");
    }
    for (_, place, key) in parts.into_iter().filter(|(is_there, ..)| *is_there) {
        page.raw("<li>");
        page.element("a", &[("href", place)], &view.word(key));
        page.raw("</li>\n");
    }
    page.raw("</ul></nav>\n");
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use vigie_estate::Chain;
    use vigie_model::{EventFacts, Finding, RuleFacts};

    use super::*;
    use crate::story::{Facts, StoryBuilder};

    struct Keys;

    impl Words for Keys {
        fn sentence(&self, facts: &EventFacts, _: &str, _: &str) -> String {
            facts.operation.clone()
        }

        fn tactic(&self, tactic: &str) -> String {
            tactic.to_owned()
        }

        fn severity(&self, word: &str) -> String {
            word.to_owned()
        }

        fn label(&self, key: &str, values: &[(&str, &str)]) -> String {
            let values: Vec<&str> = values.iter().map(|(_, value)| *value).collect();
            format!("{key} {}", values.join(" "))
        }

        fn reason(&self, english: &str) -> String {
            english.to_owned()
        }

        fn language(&self) -> Language {
            Language::French
        }
    }

    #[test]
    fn a_page_without_findings_is_whole_and_inert() {
        let facts = Facts { files: 1, foreign_files: vec![("<b>".to_owned(), "\"odd\"".to_owned())], ..Facts::default() };
        let story =
            Story { threads: Vec::new(), blinds: Vec::new(), findings: 0, by_rule: BTreeMap::new(), rules: Vec::new(), facts };
        let page = html(&story, &Keys, &Zone::utc(), &|_| None);
        assert!(page.starts_with("<!doctype html>\n<html lang=\"fr\">"));
        assert!(page.ends_with("</html>\n"));
        assert!(page.contains("&lt;b&gt;") && page.contains("&quot;odd&quot;"));
        for forbidden in ["<script", " style=", "<link", "http://", "https://", "<b>"] {
            assert!(!page.contains(forbidden), "{forbidden}");
        }
        let style = page.split("<style>").nth(1).and_then(|rest| rest.split("</style>").next()).unwrap();
        let hash = digest::hash_source(style.lines()).replace('\'', "&#39;");
        assert!(page.contains(&hash));
    }

    #[test]
    fn names_from_logs_stay_text_in_every_part() {
        let hostile = || "\"><script>x</script>".to_owned();
        let event = EventFacts {
            uid: hostile(),
            occurred: 10_000,
            delivered: Some(700_000),
            verb: "log.trail.disable".to_owned(),
            operation: hostile(),
            actor: hostile(),
            address: hostile(),
            user_agent: hostile(),
            target: hostile(),
            account: hostile(),
            peer: hostile(),
            ..EventFacts::default()
        };
        let rule = RuleFacts {
            id: hostile(),
            title: hostile(),
            title_fr: hostile(),
            severity: Severity::High,
            techniques: vec![hostile()],
            tactics: vec!["persistence".to_owned(), hostile()],
            author: hostile(),
            response: hostile(),
            response_fr: hostile(),
            is_correlation: false,
            place: hostile(),
        };
        let (related, evidence, group) = (Vec::new(), Vec::new(), Vec::new());
        let finding =
            Finding { uid: hostile(), rule: 0, first: 10_000, last: 10_000, event, related, events: 1, evidence, group };
        let mut builder = StoryBuilder::default();
        builder.add(&finding, &rule, &Chain::default());
        let facts =
            Facts { events: 1, span: Some((10_000, 10_000)), gaps: vec![hostile()], paths: hostile(), ..Facts::default() };
        let page = html(&builder.finish(vec![rule], facts), &Keys, &Zone::utc(), &|_| Some((1, 0, 10_000, 10_000)));
        assert!(!page.contains("<script"));
        for part in ["id=\"story-1\"", "class=\"mark high\"", "url(#hatch)", "id=\"rules\"", "id=\"unseen\"", "&lt;script&gt;"] {
            assert!(page.contains(part), "{part}");
        }
    }
}
