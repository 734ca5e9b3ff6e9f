//! `vigie demo`: writes seeded logs and the truth about them.

use std::collections::BTreeMap;
use std::fs;
use std::process::ExitCode;

use crate::arguments::DemoOptions;
use crate::content::Content;
use crate::error::Error;
use crate::output::line;

/// Runs the command.
pub(crate) fn run(options: &DemoOptions) -> Result<ExitCode, Error> {
    let root = &options.write;
    let is_used = fs::read_dir(root).is_ok_and(|mut entries| entries.next().is_some());
    if is_used {
        return Err(Error::Usage(format!("`{}` is not empty; name a new folder", root.display())));
    }
    let content = Content::embedded();
    let files: BTreeMap<String, String> = content.files.into_iter().filter(|(path, _)| path.starts_with("demo/")).collect();
    let templates = vigie_demo::Templates::parse(&files).map_err(|error| Error::Failed(error.to_string()))?;
    let plan = vigie_demo::Options {
        events: options.events,
        seed: options.seed,
        intrusion: !options.quiet_day,
        ..vigie_demo::Options::default()
    };
    let truth_path = beside(root);
    let mut objects = 0u64;
    let truth = vigie_demo::generate(&templates, &plan, None, &mut |object| {
        let path = if object.path == TRUTH { truth_path.clone() } else { root.join(&object.path) };
        let parent = path.parent().unwrap_or(root);
        fs::create_dir_all(parent)
            .and_then(|()| fs::write(&path, &object.bytes))
            .map_err(|error| vigie_demo::Error::new(format!("`{}`: {error}", path.display())))?;
        objects += 1;
        Ok(())
    })
    .map_err(|error| Error::Failed(error.to_string()))?;
    line(format_args!(
        "{} events in {objects} files under {}; the truth is in {}",
        truth.events,
        root.display(),
        truth_path.display()
    ))?;
    Ok(ExitCode::SUCCESS)
}

/// What the generator calls the truth.
const TRUTH: &str = "truth.json";

/// The truth stands beside the folder of logs, not among them: `DIR.truth.json`.
fn beside(root: &std::path::Path) -> std::path::PathBuf {
    let mut name = root.file_name().unwrap_or_default().to_os_string();
    name.push(".");
    name.push(TRUTH);
    root.with_file_name(name)
}
