//! The filter bar's language by example.

use super::*;

fn read(text: &str) -> Result<Filter, FilterError> {
    let is_field = |name: &str| ["user", "ip", "port", "time"].contains(&name) || name.contains('.');
    parse(text, &is_field)
}

fn shown(filter: &Filter) -> String {
    let list = |name: &str, filters: &[Filter]| format!("{name}({})", filters.iter().map(shown).collect::<Vec<_>>().join(" "));
    let pattern = |pattern: &Pattern| {
        let pieces = pattern.pieces.iter().map(|piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Any => "*".to_owned(),
            Piece::One => "?".to_owned(),
        });
        pieces.collect::<String>()
    };
    match filter {
        Filter::All => "all".to_owned(),
        Filter::And(filters) => list("and", filters),
        Filter::Or(filters) => list("or", filters),
        Filter::Not(inner) => format!("not({})", shown(inner)),
        Filter::Word(word) => format!("'{}'", pattern(word)),
        Filter::Field { name, test } => match test {
            Test::Exists => format!("{name} exists"),
            Test::Equals(text) => format!("{name}={text}"),
            Test::Like(like) => format!("{name}~{}", pattern(like)),
            Test::Network(network) => format!("{name} in {network}"),
            Test::Range { from, to } => format!("{name} {from:?}..{to:?}"),
        },
    }
}

#[test]
fn filters_mean_what_people_expect() {
    let cases = [
        ("", "all"),
        ("*", "all"),
        ("alice", "'alice'"),
        ("alice bob or carol", "or(and('alice' 'bob') 'carol')"),
        ("alice AND NOT (bob OR carol)", "and('alice' not(or('bob' 'carol')))"),
        ("-user:bob", "not(user=bob)"),
        ("!user:bob x", "and(not(user=bob) 'x')"),
        ("user:\"a b\\\"c\"", "user=a b\"c"),
        ("user:al*e?", "user~al*e?"),
        ("user:\\*x", "user=*x"),
        ("user:*", "user exists"),
        ("user:\"\"", "user="),
        ("user:(a or \"b c\")", "or(user=a user=b c)"),
        ("ip:10.0.0.0/8", "ip in 10.0.0.0/8"),
        ("ip:2001:db8::1", "ip=2001:db8::1"),
        ("port>=80", "port Included(\"80\")..Open"),
        ("port:<80", "port Open..Excluded(\"80\")"),
        ("time:[2026-01-01 TO *]", "time Included(\"2026-01-01\")..Open"),
        ("arn:x:iam::1:user/a", "'arn:x:iam::1:user/a'"),
        ("*part*", "'*part*'"),
        ("api.operation:x", "api.operation=x"),
        ("notable orange android", "and('notable' 'orange' 'android')"),
        ("f(x)", "'f(x)'"),
        ("a - b", "and('a' '-' 'b')"),
    ];
    for (text, wanted) in cases {
        assert_eq!(read(text).map(|filter| shown(&filter)).as_deref(), Ok(wanted), "{text}");
    }
}

#[test]
fn wrong_filters_say_what_to_write() {
    let deep = "(".repeat(10_000);
    let nots = "not ".repeat(4000);
    let many = "a ".repeat(1001);
    let cases = [
        ("\"open", "a quote is not closed"),
        ("(a", "a parenthesis is not closed"),
        ("a)", "there is no open parenthesis"),
        ("user:", "has no value"),
        ("or a", "`or` wants a term on both sides"),
        ("a and", "a term is missing"),
        ("time:[a]", "a range is written"),
        ("time:[a TO b", "a bracket is not closed"),
        ("user:(a b)", "joined by `or`"),
        (&deep, "nested too deeply"),
        (&nots, "nested too deeply"),
        (&many, "at most 1000 terms"),
    ];
    for (text, wanted) in cases {
        let error = read(text).map(|filter| shown(&filter)).expect_err(text);
        assert!(error.to_string().contains(wanted), "{text}: {error}");
    }
}

#[test]
fn words_stand_whole_and_parts_anywhere() {
    let cases = [
        ("alice", "{\"user\":\"Alice\"}", true),
        ("alice", "{\"user\":\"alice2\"}", false),
        ("alice", "malice alice", true),
        ("alice*", "{\"user\":\"alice2\"}", true),
        ("*lice", "{\"user\":\"alice\"}", true),
        ("*lice", "{\"user\":\"alices\"}", false),
        ("*lic*", "{\"user\":\"alice\"}", true),
        ("role/adm*", "x:role/admin", true),
        ("role/adm", "x:role/admin", false),
        ("a*z", "{\"a\":\"b\",\"c\":\"z\"}", false),
        ("a?c", "x abc x", true),
        ("a?c", "x a\u{e9}c x", true),
        ("\u{e9}t\u{e9}", "l'\u{e9}t\u{e9}", true),
    ];
    for (word, record, wanted) in cases {
        let Ok(Filter::Word(pattern)) = read(word) else { panic!("{word}") };
        assert_eq!(pattern.found_in(record.as_bytes()), wanted, "{word} in {record}");
    }
}

#[test]
fn a_hostile_pattern_takes_no_exponential_time() {
    let Ok(Filter::Field { test: Test::Like(pattern), .. }) = read(&format!("user:{}b", "a*".repeat(200))) else { panic!() };
    assert!(!pattern.matches(&"a".repeat(20_000)));
}
