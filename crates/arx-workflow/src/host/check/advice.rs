//! What the language leaves out, and what to write instead.

/// The modules that a workflow can import.
pub(super) const MODULES: &[&str] = &[
    "asyncio",
    "base64",
    "binascii",
    "collections",
    "dataclasses",
    "datetime",
    "functools",
    "itertools",
    "json",
    "math",
    "re",
    "typing",
    "unicodedata",
];

/// Types that have a name without an import.
pub(super) const TYPES: &[&str] = &[
    "bool",
    "int",
    "float",
    "str",
    "bytes",
    "list",
    "tuple",
    "dict",
    "set",
    "frozenset",
    "range",
    "slice",
    "iter",
    "type",
    "object",
    "NotImplemented",
    "Ellipsis",
    "property",
    "classmethod",
    "staticmethod",
];

/// What `asyncio` has.
pub(super) const ASYNCIO: &[&str] = &["gather"];

/// What to do without a module.
pub(super) fn module(name: &str) -> String {
    match name.split('.').next().unwrap_or_default() {
        "os" | "sys" | "subprocess" | "pathlib" | "shutil" | "io" | "tempfile" | "glob" => {
            "a workflow has no files, processes or environment; declare an input in arx.yaml and \
             read `config`"
                .into()
        }
        "requests" | "httpx" | "urllib" | "urllib3" | "http" | "socket" | "ssl" | "aiohttp" => {
            "call an operation of a connector, e.g. `await jira.issues.read(..)`".into()
        }
        "time" => "use `arx.now`, the run's time".into(),
        "random" | "uuid" | "secrets" => {
            "a run must be repeatable; derive names from what is worked on".into()
        }
        "threading" | "multiprocessing" | "concurrent" => {
            "use `asyncio.gather` or `arx.each`".into()
        }
        "logging" => "use `arx.log(..)`".into(),
        "arx" => "`arx` is there without an import".into(),
        _ => format!("there are only {}", MODULES.join(", ")),
    }
}

/// What to do without a builtin of Python, for those that people reach for.
pub(super) fn builtin(name: &str) -> Option<&'static str> {
    Some(match name {
        "open" | "input" => {
            "a workflow has no files; declare an input in arx.yaml and read `config`"
        }
        "eval" | "exec" | "compile" | "__import__" => "write the code itself",
        "globals" | "locals" | "vars" | "dir" => "keep values in a dict of your own",
        "super" => "write a function",
        "callable" | "issubclass" | "delattr" => "use `hasattr(..)` or `isinstance(..)`",
        "format" => "use an f-string",
        "__name__" => "leave it out; ARX awaits `main()` itself",
        "bytearray" | "memoryview" | "complex" => "use `str`, `int` or `float`",
        "ascii" => "use `repr(..)`",
        "breakpoint" | "help" => "use `arx.log(..)`",
        _ => return None,
    })
}

/// What to do without a function of `asyncio`.
pub(super) fn asyncio(name: &str) -> &'static str {
    match name {
        "run" => "leave it out; ARX awaits `main()` itself",
        "sleep" | "wait_for" | "timeout" => {
            "a workflow has no clock; calls have their own deadlines"
        }
        "Queue" | "Lock" | "Semaphore" | "Event" => {
            "use `asyncio.gather`; ARX limits the rate of calls itself"
        }
        _ => "use `asyncio.gather` or `arx.each`",
    }
}
