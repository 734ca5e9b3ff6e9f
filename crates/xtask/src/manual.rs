//! What a shell and `man` know of the command line: completions and one page, from its definitions.
//!
//! The definitions are the file of `vigie` itself, compiled a second time: the binary carries neither
//! generator, and nothing generated stands in git.

use std::io;

use clap::{Command, CommandFactory};
use clap_complete::aot::{Shell, generate};
use clap_mangen::Man;

#[path = "../../vigie/src/arguments.rs"]
mod arguments;

/// The files that a package installs: name and content.
pub(crate) fn files() -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut files = vec![("vigie.1".to_owned(), page()?)];
    for (shell, name) in [(Shell::Bash, "vigie.bash"), (Shell::Zsh, "_vigie"), (Shell::Fish, "vigie.fish")] {
        let mut text = Vec::new();
        generate(shell, &mut arguments::Arguments::command(), "vigie", &mut text);
        files.push((format!("completions/{name}"), text));
    }
    Ok(files)
}

/// The manual: the command, then a part for each command below it.
fn page() -> io::Result<Vec<u8>> {
    let mut command = arguments::Arguments::command().disable_help_subcommand(true);
    command.build();
    let mut text = Vec::new();
    let man = Man::new(command.clone());
    man.render_title(&mut text)?;
    man.render_name_section(&mut text)?;
    man.render_synopsis_section(&mut text)?;
    man.render_description_section(&mut text)?;
    man.render_options_section(&mut text)?;
    parts(&command, &mut text)?;
    man.render_version_section(&mut text)?;
    Ok(text)
}

/// A part for each command below one; its sections become subsections.
fn parts(command: &Command, text: &mut Vec<u8>) -> io::Result<()> {
    for inner in command.get_subcommands().filter(|inner| !inner.is_hide_set()) {
        if inner.has_subcommands() {
            parts(inner, text)?;
            continue;
        }
        let name = inner.get_bin_name().unwrap_or_else(|| inner.get_name());
        text.extend(format!(".SH \"{}\"\n", name.to_uppercase()).into_bytes());
        let man = Man::new(inner.clone());
        let mut sections = Vec::new();
        man.render_synopsis_section(&mut sections)?;
        man.render_description_section(&mut sections)?;
        man.render_options_section(&mut sections)?;
        for line in String::from_utf8_lossy(&sections).lines() {
            let line = line.strip_prefix(".SH ").map_or_else(|| line.to_owned(), |name| format!(".SS {name}"));
            text.extend(line.into_bytes());
            text.push(b'\n');
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::files;

    #[test]
    fn every_command_and_option_is_in_each_file() {
        let files = files().unwrap();
        assert_eq!(files.len(), 4);
        for (name, text) in files {
            let text = String::from_utf8(text).unwrap().replace('\\', "");
            for word in ["hunt", "demo", "lint", "explain", "min-level", "quiet-day"] {
                assert!(text.contains(word), "{name} does not hold {word}");
            }
            assert!(!text.contains("spill-kib") || name != "vigie.1", "hidden options stay out of the manual");
        }
    }

    #[test]
    fn the_manual_has_a_part_for_each_command() {
        let (_, page) = files().unwrap().swap_remove(0);
        let page = String::from_utf8(page).unwrap();
        for part in ["VIGIE HUNT", "VIGIE DEMO", "VIGIE TEST", "VIGIE RULE LINT", "VIGIE RULE NEW"] {
            assert!(page.contains(&format!(".SH \"{part}\"\n")), "{part}: {page}");
        }
        assert_eq!(page.matches("\n.TH ").count() + usize::from(page.starts_with(".TH ")), 1);
    }
}
