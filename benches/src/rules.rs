//! Rule sets of the budget: SigmaHQ's folders, and dense rules that all apply to one log.

use std::collections::BTreeMap;
use std::path::Path;

use vigie_tests::reissue::Dice;

/// The rules under a folder of SigmaHQ's tree.
pub fn sigma(folder: &Path, under: &str) -> Vec<(String, String)> {
    let files: BTreeMap<String, String> = vigie_tests::untar(&folder.join("sigma-rules/sigma-rules.tar.zst")).unwrap();
    let is_wanted = |path: &str| path.trim_start_matches("./").starts_with(under) && path.ends_with(".yml");
    files.into_iter().filter(|(path, _)| is_wanted(path)).collect()
}

const SERVICES: [&str; 8] = ["iam", "ec2", "s3", "sts", "kms", "lambda", "rds", "ssm"];
const WORDS: [&str; 12] =
    ["Create", "Delete", "Update", "Put", "Get", "List", "Describe", "Attach", "Modify", "Stop", "Start", "Share"];
const THINGS: [&str; 25] = [
    "User", "Role", "Key", "Bucket", "Object", "Instance", "Snapshot", "Image", "Policy", "Group", "Function", "Secret", "Trail",
    "Cluster", "Volume", "Subnet", "Gateway", "Alarm", "Topic", "Queue", "Table", "Stack", "Domain", "Token", "Session",
];

/// Dense rules: service and one to six operations, with user agents, filters, errors, ARN endings,
/// alternatives and networks in turn.
pub fn dense(count: usize) -> Vec<(String, String)> {
    let mut dice = Dice::new(33);
    let mut pick = |list: &[&'static str]| list[dice.roll(list.len() as u64) as usize];
    let mut rules = Vec::with_capacity(count);
    for number in 0..count {
        let service = pick(&SERVICES);
        let operations: Vec<String> = (0..=number % 6).map(|_| format!("'{}{}'", pick(&WORDS), pick(&THINGS))).collect();
        let selection = format!(
            "    selection:\n        eventSource: {service}.amazonaws.com\n        eventName: [{}]\n",
            operations.join(", ")
        );
        let (more, condition) = match number % 6 {
            0 => (format!("    agent:\n        userAgent|contains: 'tool-{}'\n", number % 97), "selection and agent"),
            1 => (format!("    filter:\n        userIdentity.arn|endswith: '/ci-{}'\n", number % 53), "selection and not filter"),
            2 => ("    error:\n        errorCode|contains: [Denied, Unauthorized]\n".to_owned(), "selection and error"),
            3 => (format!("    who:\n        userIdentity.arn|endswith: ':user/person-{}'\n", number % 211), "selection and who"),
            4 => (
                format!("    other:\n        requestParameters.userName|startswith: 'adm{}'\n", number % 31),
                "selection or other",
            ),
            _ => (
                format!("    net:\n        sourceIPAddress|cidr: '{}.{}.0.0/16'\n", 11 + number % 100, number % 250),
                "selection and net",
            ),
        };
        let text = format!(
            "title: Dense {number}\nid: {number:08x}-0000-4000-8000-000000000000\nlogsource: {{product: aws, service: cloudtrail}}\ndetection:\n{selection}{more}    condition: {condition}\nlevel: low\n"
        );
        rules.push((format!("dense/{number:05}.yml"), text));
    }
    rules
}
