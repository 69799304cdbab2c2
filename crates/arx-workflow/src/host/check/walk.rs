//! The walk over a script's syntax tree.

use std::collections::{BTreeMap, BTreeSet};

use monty_types::{ExcType, MontyObject};
use ruff_python_ast::visitor::{Visitor, walk_comprehension, walk_expr, walk_stmt};
use ruff_python_ast::{
    Comprehension, Expr, ExprAttribute, ExprCall, ModModule, Stmt, StmtClassDef, StmtImport,
    StmtImportFrom,
};
use ruff_text_size::{Ranged as _, TextSize};
use serde_json::Value;

use super::{Code, Report, advice, bindings};
use crate::host::frame::OwnedScript;
use crate::host::parent::Checked;
use crate::host::{CalledOperation, names};

/// What `arx` has, beside the host functions.
pub(in crate::host) const ARX: &[&str] =
    &["brief", "each", "log", "note", "now", "paging", "progress", "route", "settled", "text"];
/// What every record has, beside its fields.
const RECORD: &[&str] = &["get", "items", "keys", "values"];
/// What ARX keeps for itself.
const OWN_PREFIX: &str = "_arx_";
/// Alternatives listed in a hint.
const N_ALTERNATIVES_MAX: usize = 6;

/// Adds to the report what is wrong, and says what the script calls.
pub(super) fn walk(script: &OwnedScript, module: &ModModule, report: &mut Report<'_>) -> Checked {
    let bound = bindings::bindings(module);
    let connectors = script.objects.iter().map(|object| {
        let operations = object.operations.iter().map(|operation| {
            let path = names::path(operation).join(".");
            (path, format!("{}.{operation}", object.connector))
        });
        (names::python(&object.connector), operations.collect())
    });
    let config = match &script.config {
        Value::Object(fields) => Some(fields.keys().map(|key| names::python(key)).collect()),
        _ => None,
    };
    let mut walker = Walker {
        report,
        connectors: connectors.collect(),
        functions: script.functions.iter().map(String::as_str).collect(),
        config,
        bound,
        checked: Checked::default(),
    };
    walker.check_rebound();
    walker.visit_body(&module.body);
    walker.checked
}

struct Walker<'a, 'r, 's> {
    report: &'r mut Report<'s>,
    /// Connector to operation as attributes, to the operation.
    connectors: BTreeMap<String, BTreeMap<String, String>>,
    functions: Vec<&'r str>,
    config: Option<BTreeSet<String>>,
    bound: BTreeMap<&'a str, TextSize>,
    checked: Checked,
}

impl<'a> Walker<'a, '_, '_> {
    fn add(
        &mut self,
        at: TextSize,
        code: Code,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.report.add(at, code, message.into(), Some(hint.into()));
    }

    fn is_given(&self, name: &str) -> bool {
        name == "arx" || name == "config" || self.connectors.contains_key(name)
    }

    fn check_rebound(&mut self) {
        let rebound: Vec<_> = self
            .bound
            .iter()
            .filter(|(name, _)| self.is_given(name) || name.starts_with(OWN_PREFIX))
            .map(|(name, at)| (*name, *at))
            .collect();
        for (name, at) in rebound {
            let message = format!("`{name}` is given by ARX and cannot be bound again");
            self.add(at, Code::Rebound, message, "choose another name");
        }
    }

    fn check_name(&mut self, name: &str, at: TextSize, is_object: bool) {
        if self.bound.contains_key(name) || self.is_given(name) {
            return;
        }
        if let Some(hint) = advice::builtin(name) {
            self.add(at, Code::Unsupported, format!("workflows have no `{name}`"), hint);
            return;
        }
        if advice::TYPES.contains(&name)
            || MontyObject::builtin_function_from_name(name).is_some()
            || name.parse::<ExcType>().is_ok()
        {
            return;
        }
        let given = self.connectors.keys().map(String::as_str).chain(["arx", "config"]);
        let known = given.chain(self.bound.keys().copied());
        let hint = match (names::nearest(name, known), is_object) {
            (Some(nearest), _) => format!("did you mean `{nearest}`?"),
            (None, true) if advice::MODULES.contains(&name) => format!("write `import {name}`"),
            (None, true) => "if it is a connector, bind it under `connectors` in arx.yaml".into(),
            (None, false) => "bind it before its use".into(),
        };
        self.add(at, Code::UnknownName, format!("nothing is called `{name}`"), hint);
    }

    /// Checks `base.parts[0].parts[1]…`, given where each part begins.
    fn check_attributes(&mut self, base: &str, parts: &[(&str, TextSize)], at: TextSize) {
        let Some(&(first, first_at)) = parts.first() else { return };
        let last = parts.last().map_or(first, |(last, _)| *last);
        if self.connectors.contains_key(base) {
            self.check_operation(base, parts, at);
        } else if base == "arx" {
            if self.functions.contains(&first) {
                if !self.checked.functions.iter().any(|known| known == first) {
                    self.checked.functions.push(first.to_owned());
                }
            } else if !ARX.contains(&first) {
                let known: Vec<&str> =
                    ARX.iter().copied().chain(self.functions.iter().copied()).collect();
                let hint = suggestion("arx", first, &known);
                let message = format!("`arx` has no `{first}`");
                self.add(first_at, Code::UnknownAttribute, message, hint);
            }
        } else if base == "config" {
            let Some(fields) = &self.config else { return };
            if !fields.contains(first) && !RECORD.contains(&first) {
                let known: Vec<&str> = fields.iter().map(String::as_str).collect();
                let hint = match known.is_empty() {
                    true => "declare it under `inputs` in arx.yaml".into(),
                    false => suggestion("config", first, &known),
                };
                let message = format!("no input is called `{first}`");
                self.add(first_at, Code::UnknownAttribute, message, hint);
            }
        } else if base == "asyncio" {
            if !advice::ASYNCIO.contains(&first) {
                let message = format!("workflows have no `asyncio.{first}`");
                self.add(at, Code::Unsupported, message, advice::asyncio(first));
            }
        } else if matches!(base, "datetime" | "date") && matches!(last, "now" | "utcnow" | "today")
        {
            let message = format!("workflows have no `{base}.{last}`; a run must be repeatable");
            self.add(at, Code::Unsupported, message, "use `arx.now`, the run's time");
        }
    }

    fn check_operation(&mut self, base: &str, parts: &[(&str, TextSize)], at: TextSize) {
        let Some(operations) = self.connectors.get(base) else { return };
        let path = parts.iter().map(|(part, _)| *part).collect::<Vec<_>>().join(".");
        let prefix = format!("{path}.");
        let used: Vec<String> = operations
            .iter()
            .filter(|(known, _)| **known == path || known.starts_with(&prefix))
            .map(|(_, operation)| operation.clone())
            .collect();
        if used.is_empty() {
            let known: Vec<&str> = operations.keys().map(String::as_str).collect();
            let hint = suggestion(base, &path, &known);
            let message = format!("`{base}` has no operation `{path}`");
            let at = parts.first().map_or(at, |(_, at)| *at);
            self.add(at, Code::UnknownAttribute, message, hint);
            return;
        }
        let (line, column) = self.report.position(at);
        for operation in used {
            if !self.checked.operations.iter().any(|known| known.operation == operation) {
                self.checked.operations.push(CalledOperation { operation, line, column });
            }
        }
    }

    /// What a call must be awaited for, if it is one of ours.
    fn awaitable(&self, call: &ExprCall) -> Option<String> {
        let Expr::Attribute(attribute) = &*call.func else { return None };
        let (base, parts) = chain(attribute)?;
        let path = parts.iter().map(|(part, _)| *part).collect::<Vec<_>>().join(".");
        let is_ours = match self.connectors.get(base) {
            Some(operations) => operations.contains_key(&path),
            None if base == "arx" => path == "each" || self.functions.contains(&path.as_str()),
            None => base == "asyncio" && path == "gather",
        };
        is_ours.then(|| format!("{base}.{path}"))
    }

    fn check_call(&mut self, call: &ExprCall) {
        if let Some(name) = self.awaitable(call)
            && name.split('.').next().is_some_and(|base| self.connectors.contains_key(base))
            && let Some(argument) =
                call.arguments.args.first().filter(|argument| !argument.is_starred_expr())
        {
            let message = format!("`{name}` takes keyword arguments only");
            let hint = format!("write `{name}(name=value)`");
            self.add(argument.start(), Code::Arguments, message, hint);
        }
        let gathers = match &*call.func {
            Expr::Attribute(attribute) => attribute.attr.as_str() == "gather",
            Expr::Name(name) => name.id.as_str() == "gather",
            _ => false,
        };
        for keyword in &call.arguments.keywords {
            if gathers
                && keyword.arg.as_ref().is_some_and(|name| name.as_str() == "return_exceptions")
            {
                let message = "workflows have no `return_exceptions`";
                let hint = "use `arx.each`, or catch exceptions inside the gathered functions";
                self.add(keyword.start(), Code::Unsupported, message, hint);
            }
        }
    }

    fn check_module(&mut self, name: &str, at: TextSize) {
        if !advice::MODULES.contains(&name) {
            self.add(
                at,
                Code::Module,
                format!("workflows have no module `{name}`"),
                advice::module(name),
            );
        }
    }

    fn check_import(&mut self, import: &StmtImport) {
        for alias in &import.names {
            self.check_module(&alias.name, alias.start());
        }
    }

    fn check_import_from(&mut self, import: &StmtImportFrom) {
        let Some(module) = import.module.as_ref().filter(|_| import.level == 0) else {
            let hint = "a workflow is one file";
            self.add(import.start(), Code::Module, "there is nothing to import from here", hint);
            return;
        };
        if module.as_str() == "__future__" {
            return;
        }
        self.check_module(module, module.start());
        for alias in &import.names {
            let name = alias.name.as_str();
            if name == "*" {
                let message = "workflows have no `import *`";
                self.add(alias.start(), Code::Unsupported, message, "name what you import");
            } else if module.as_str() == "asyncio" && !advice::ASYNCIO.contains(&name) {
                let message = format!("workflows have no `asyncio.{name}`");
                self.add(alias.start(), Code::Unsupported, message, advice::asyncio(name));
            }
        }
    }

    fn check_class(&mut self, class: &StmtClassDef) {
        if class.arguments.as_ref().is_some_and(|arguments| !arguments.is_empty()) {
            let message = "workflows have no class inheritance";
            let hint = "write a plain class, a `@dataclass`, or functions";
            self.add(class.name.start(), Code::Unsupported, message, hint);
        }
        for statement in &class.body {
            if let Stmt::FunctionDef(method) = statement
                && let Some(decorator) = method.decorator_list.first()
            {
                let message = "workflows have no decorated methods";
                self.add(decorator.start(), Code::Unsupported, message, "write a plain method");
            }
        }
    }

    fn unsupported(&mut self, at: TextSize, what: &str, hint: &str) {
        self.add(at, Code::Unsupported, format!("workflows have no {what}"), hint);
    }
}

impl<'a> Visitor<'a> for Walker<'a, '_, '_> {
    fn visit_stmt(&mut self, statement: &'a Stmt) {
        let at = statement.start();
        match statement {
            Stmt::Import(import) => self.check_import(import),
            Stmt::ImportFrom(import) => self.check_import_from(import),
            Stmt::ClassDef(class) => self.check_class(class),
            Stmt::If(choice) if bindings::is_for_editors(choice) => {
                return choice
                    .elif_else_clauses
                    .iter()
                    .for_each(|clause| self.visit_elif_else_clause(clause));
            }
            Stmt::With(with) if with.is_async => {
                self.unsupported(at, "`async with`", "await the calls one after the other");
            }
            Stmt::For(each) if each.is_async => {
                self.unsupported(at, "`async for`", "await a list, then loop over it");
            }
            Stmt::Delete(_) => {
                self.unsupported(at, "`del`", "use `.pop(..)`, or bind another value");
            }
            Stmt::Match(_) => self.unsupported(at, "`match`", "use `if` and `elif`"),
            Stmt::TypeAlias(_) => self.unsupported(at, "type aliases", "leave it out"),
            Stmt::Try(attempt) if attempt.is_star => {
                self.unsupported(at, "`except*`", "use `except`");
            }
            Stmt::Expr(expression) => {
                if let Expr::Call(call) = &*expression.value
                    && let Some(name) = self.awaitable(call)
                {
                    let message = format!("`{name}(..)` is never awaited, so it never happens");
                    self.add(at, Code::NotAwaited, message, format!("write `await {name}(..)`"));
                }
            }
            _ => {}
        }
        walk_stmt(self, statement);
    }

    fn visit_expr(&mut self, expression: &'a Expr) {
        let at = expression.start();
        match expression {
            Expr::Name(name) if name.ctx.is_load() => self.check_name(&name.id, at, false),
            Expr::Attribute(attribute) => {
                if let Some((base, parts)) = chain(attribute) {
                    self.check_name(base, at, true);
                    self.check_attributes(base, &parts, at);
                    return;
                }
            }
            Expr::Call(call) => self.check_call(call),
            Expr::Yield(_) | Expr::YieldFrom(_) => {
                self.unsupported(at, "generators", "build a list and return it");
            }
            _ => {}
        }
        walk_expr(self, expression);
    }

    /// Annotations are not evaluated for their value, and may name what only editors know.
    fn visit_annotation(&mut self, _annotation: &'a Expr) {}

    fn visit_comprehension(&mut self, comprehension: &'a Comprehension) {
        if comprehension.is_async {
            let at = comprehension.start();
            self.unsupported(at, "`async for`", "await a list, then loop over it");
        }
        walk_comprehension(self, comprehension);
    }
}

/// `a.b.c` as `a` and the attributes with their places; `None` when it does not start at a name.
fn chain(attribute: &ExprAttribute) -> Option<(&str, Vec<(&str, TextSize)>)> {
    let mut parts = vec![(attribute.attr.as_str(), attribute.attr.start())];
    let mut value = &*attribute.value;
    loop {
        match value {
            Expr::Attribute(inner) => {
                parts.push((inner.attr.as_str(), inner.attr.start()));
                value = &inner.value;
            }
            Expr::Name(name) => {
                parts.reverse();
                return Some((&name.id, parts));
            }
            _ => return None,
        }
    }
}

fn suggestion(base: &str, name: &str, known: &[&str]) -> String {
    match names::nearest(name, known.iter().copied()) {
        Some(nearest) => format!("did you mean `{base}.{nearest}`?"),
        None => {
            let listed: Vec<String> =
                known.iter().take(N_ALTERNATIVES_MAX).map(|name| format!("`{name}`")).collect();
            format!("it has {}", listed.join(", "))
        }
    }
}
