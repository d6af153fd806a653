//! The list of rules: id, usual level, what each is about. Ids are stable; CI configurations name them.

use serde::Serialize;

use Level::{Error, Note, Warning};

/// How bad it is. Errors make the command fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    Note,
    Warning,
    Error,
}

impl Level {
    pub fn as_str(self) -> &'static str {
        match self {
            Level::Note => "note",
            Level::Warning => "warning",
            Level::Error => "error",
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
pub struct Rule {
    pub id: &'static str,
    pub level: Level,
    pub about: &'static str,
}

macro_rules! rules {
    ($($name:ident $id:literal $level:ident $about:literal;)*) => {
        $(pub static $name: Rule = Rule { id: $id, level: $level, about: $about };)*
        /// Every rule, for formats that list them.
        pub static ALL: &[&Rule] = &[$(&$name),*];
    };
}

rules! {
    DESCRIPTOR_MISSING "descriptor/missing" Error "a workshop has a wod.yml";
    DESCRIPTOR_SYNTAX "descriptor/syntax" Error "wod.yml is YAML with fields";
    DESCRIPTOR_UNKNOWN "descriptor/unknown-field" Warning "fields of wod.yml are known ones";
    DESCRIPTOR_TWICE "descriptor/duplicate-key" Warning "a field is stated once";
    DESCRIPTOR_TYPE "descriptor/type" Error "a field has a value of its kind";
    DESCRIPTOR_NEEDED "descriptor/missing-field" Error "fields that a backend needs are there";
    RANGE_DASH "descriptor/range-dash" Note "a range is two numbers in a list";
    RANGE_REVERSED "descriptor/range-reversed" Error "a range goes from the first to the last student";
    RANGE_OVERLAP "descriptor/range-overlap" Error "no two workshops share a student";
    RANGE_OUTSIDE "descriptor/range-outside" Error "a range lies within WODUSERMIN to WODUSERMAX";
    CAPACITY "descriptor/capacity" Warning "there is a student for each seat";
    NAME "descriptor/name" Warning "a workshop's name is that of its directory";
    DIRECTORY "descriptor/directory" Error "a directory's name can be asked for in a mail";
    COMPILE "descriptor/compile" Error "scripts to be compiled are there";
    APPLIANCE_BOTH "descriptor/appliance-both" Error "an appliance is shared by all or one for each";
    APPLIANCE_ADDRESS "descriptor/appliance-address" Warning "a workshop with an appliance has its address";
    RESET_SCRIPT "descriptor/reset-script" Error "a workshop that is reset has a script for it";
    LDAP "descriptor/ldap" Error "a workshop with ldap is on a site with a directory";
    VARPASS "descriptor/varpass" Error "a workshop with varpass is on a site with pass files";
    SHADOWED "descriptor/shadowed" Warning "a private workshop has a name of its own";
    NOTEBOOK_JSON "notebook/json" Error "a notebook is JSON";
    NOTEBOOK_TAG "notebook/tag-outside" Warning "template tags stand inside of JSON strings";
    NOTEBOOK_FORMAT "notebook/format" Error "a notebook is of format 4";
    NOTEBOOK_CELL "notebook/cell" Error "a cell has what its kind needs";
    NOTEBOOK_ID "notebook/cell-id" Warning "cell ids are well formed and differ";
    NOTEBOOK_OUTPUT "notebook/outputs" Warning "outputs are cleared";
    NOTEBOOK_EXECUTED "notebook/executed" Warning "no cell counts as executed";
    NOTEBOOK_README "notebook/no-readme" Error "a workshop begins with 0-ReadMeFirst.ipynb";
    TEMPLATE_SYNTAX "template/syntax" Error "a template can be read";
    TEMPLATE_UNCLOSED "template/unclosed" Error "each block is closed";
    TEMPLATE_RAW "template/raw" Error "each raw block is closed";
    TEMPLATE_UNDEFINED "template/undefined" Error "variables are set somewhere";
    TEMPLATE_PERCENT "template/percent-format" Error "texts are formatted by the format filter";
    TEMPLATE_FILTER "template/unknown-filter" Error "filters are known";
    TEMPLATE_TEST "template/unknown-test" Error "tests are known";
    SCRIPT_NAME "script/name" Warning "a script has a name that a backend looks for";
    SCRIPT_WORKSHOP "script/workshop" Warning "the workshop of a script is there";
    SCRIPT_MODE "script/not-executable" Error "a script is executable";
    SCRIPT_SHEBANG "script/shebang" Warning "a script says what runs it";
    SCRIPT_SYNTAX "script/syntax" Error "bash can read a script";
    SCRIPT_CHECK "script/shellcheck" Warning "shellcheck has nothing to say";
    SCRIPT_SECRET "script/secret" Warning "a script prints no secret";
    SCRIPT_CRLF "script/line-ends" Error "a script's lines end in a line feed alone";
    FILE_LINK "file/link" Warning "no link stands for a file, or leads out of the workshop";
    FILE_SPECIAL "file/special" Error "a workshop holds files and directories";
    FILE_TEXT "file/not-utf8" Error "templates and scripts are UTF-8";
    FILE_LARGE "file/too-large" Error "files are of a size that is published";
    FILE_DEEP "file/too-deep" Warning "directories are of a depth that is rendered";
    FILE_UNREADABLE "file/unreadable" Error "WODUSER can read the workshop";
    FILE_MANY "file/too-many" Error "a workshop has no more files than are published";
    MORE "file/more" Note "a file has few findings";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_differ() {
        let mut ids: Vec<_> = ALL.iter().map(|rule| rule.id).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), ALL.len());
    }
}
