//! Findings as SARIF 2.1.0, which forges and editors read.

use serde_json::{Value, json};

use super::finding::Finding;
use super::rules;
use super::run::Report;

const SCHEMA: &str =
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

/// The whole log as one document.
pub fn sarif(report: &Report, version: &str) -> Value {
    let rules: Vec<Value> = rules::ALL
        .iter()
        .map(|rule| {
            json!({
                "id": rule.id,
                "shortDescription": {"text": rule.about},
                "defaultConfiguration": {"level": rule.level.as_str()},
            })
        })
        .collect();
    let results: Vec<Value> = report.findings.iter().map(result).collect();
    let left_out: Vec<Value> = report
        .left_out
        .iter()
        .map(|what| json!({"level": "note", "message": {"text": what}}))
        .collect();
    json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {"name": "wod workshops lint", "version": version, "rules": rules}},
            "columnKind": "unicodeCodePoints",
            "invocations": [{
                "executionSuccessful": true,
                "toolExecutionNotifications": left_out,
            }],
            "results": results,
        }],
    })
}

fn result(finding: &Finding) -> Value {
    let text = match &finding.help {
        Some(help) => format!("{}; {help}", finding.message),
        None => finding.message.clone(),
    };
    let artifact = json!({"uri": uri(&finding.place.file)});
    let mut location = json!({"artifactLocation": artifact});
    let region = region(finding);
    if let Some(region) = &region {
        location["region"] = region.clone();
    }
    let index = rules::ALL.iter().position(|rule| *rule == finding.rule);
    let mut result = json!({
        "ruleId": finding.rule.id,
        "ruleIndex": index,
        "level": finding.level.as_str(),
        "message": {"text": text},
        "locations": [{"physicalLocation": location}],
    });
    if let (Some(mend), Some(region)) = (&finding.mend, region) {
        result["fixes"] = json!([{
            "description": {"text": format!("write {mend}")},
            "artifactChanges": [{
                "artifactLocation": artifact,
                "replacements": [{"deletedRegion": region, "insertedContent": {"text": mend}}],
            }],
        }]);
    }
    result
}

fn region(finding: &Finding) -> Option<Value> {
    let place = &finding.place;
    (place.line > 0).then(|| {
        json!({
            "startLine": place.line,
            "startColumn": place.column,
            "endColumn": place.end_column.max(place.column),
        })
    })
}

/// A path as a reference: what is no plain sign is written as `%20`.
fn uri(path: &str) -> String {
    let mut out = String::new();
    if path.starts_with('/') {
        out.push_str("file://");
    }
    for byte in path.bytes() {
        match byte.is_ascii_alphanumeric() || b"/-_.~".contains(&byte) {
            true => out.push(char::from(byte)),
            false => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}
