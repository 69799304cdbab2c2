//! The workflows that come with ARX, inside of the program.

/// One workflow of the library, as its files are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LibraryWorkflow {
    /// Its name.
    pub(crate) name: &'static str,
    /// `arx.yaml`.
    pub(crate) manifest: &'static str,
    /// `workflow.py`.
    pub(crate) source: &'static str,
}

macro_rules! workflow {
    ($name:literal) => {
        LibraryWorkflow {
            name: $name,
            manifest: include_str!(concat!("../../../library/workflows/", $name, "/arx.yaml")),
            source: include_str!(concat!("../../../library/workflows/", $name, "/workflow.py")),
        }
    };
}

/// Every workflow of the library.
pub(crate) const ALL: &[LibraryWorkflow] =
    &[workflow!("critical-vuln-escalation"), workflow!("patch-verification")];

/// The workflow of that name.
pub(crate) fn find(name: &str) -> Option<&'static LibraryWorkflow> {
    ALL.iter().find(|workflow| workflow.name == name)
}

/// The names, for messages.
pub(crate) fn names() -> String {
    ALL.iter().map(|workflow| workflow.name).collect::<Vec<_>>().join(", ")
}
