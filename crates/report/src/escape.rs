//! Texts from logs, made harmless for terminals and spreadsheets.

/// A text without control characters, direction marks and other invisible ones: each is shown by
/// its number instead.
pub fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        let is_hidden = c.is_control()
            || matches!(c, '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}' | '\u{061C}' | '\u{FFF9}'..='\u{FFFB}' | '\u{E0000}'..='\u{E007F}');
        if is_hidden {
            out.push_str(&format!("\\u{{{:x}}}", u32::from(c)));
        } else {
            out.push(c);
        }
    }
    out
}

/// A CSV cell that no spreadsheet evaluates (OWASP, CSV injection): quoted, and set off by an
/// apostrophe when it begins like a formula.
pub fn cell(text: &str) -> String {
    let text = printable(text);
    let is_formula =
        text.trim_start().starts_with(['=', '+', '-', '@', '|', '%', '\u{FF1D}', '\u{FF0B}', '\u{FF0D}', '\u{FF20}']);
    let lead = if is_formula { "'" } else { "" };
    format!("\"{lead}{}\"", text.replace('"', "\"\""))
}
