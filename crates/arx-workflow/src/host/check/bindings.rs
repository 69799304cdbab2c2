//! The names that a script binds, wherever it does.

use std::collections::BTreeMap;

use ruff_python_ast::visitor::{
    Visitor, walk_alias, walk_except_handler, walk_expr, walk_parameter, walk_stmt,
};
use ruff_python_ast::{Alias, ExceptHandler, Expr, ModModule, Parameter, Stmt, StmtIf};
use ruff_text_size::{Ranged as _, TextSize};

/// Every bound name with the place of its first binding. Scopes are not told apart: a name that
/// is bound anywhere counts as known everywhere, so that no correct script is refused.
pub(super) fn bindings(module: &ModModule) -> BTreeMap<&str, TextSize> {
    let mut bindings = Bindings::default();
    bindings.visit_body(&module.body);
    bindings.names
}

/// Whether a block is `if TYPE_CHECKING:`, which no run enters.
pub(super) fn is_for_editors(choice: &StmtIf) -> bool {
    match &*choice.test {
        Expr::Name(name) => name.id.as_str() == "TYPE_CHECKING",
        Expr::Attribute(attribute) => attribute.attr.as_str() == "TYPE_CHECKING",
        _ => false,
    }
}

#[derive(Default)]
struct Bindings<'a> {
    names: BTreeMap<&'a str, TextSize>,
}

impl<'a> Bindings<'a> {
    fn bind(&mut self, name: &'a str, at: TextSize) {
        self.names.entry(name).or_insert(at);
    }
}

impl<'a> Visitor<'a> for Bindings<'a> {
    fn visit_stmt(&mut self, statement: &'a Stmt) {
        match statement {
            Stmt::FunctionDef(function) => self.bind(&function.name, function.name.range.start()),
            Stmt::ClassDef(class) => self.bind(&class.name, class.name.range.start()),
            Stmt::If(choice) if is_for_editors(choice) => {
                return choice
                    .elif_else_clauses
                    .iter()
                    .for_each(|clause| self.visit_elif_else_clause(clause));
            }
            _ => {}
        }
        walk_stmt(self, statement);
    }

    fn visit_expr(&mut self, expression: &'a Expr) {
        if let Expr::Name(name) = expression
            && !name.ctx.is_load()
        {
            self.bind(&name.id, name.range.start());
        }
        walk_expr(self, expression);
    }

    fn visit_parameter(&mut self, parameter: &'a Parameter) {
        self.bind(&parameter.name, parameter.name.range.start());
        walk_parameter(self, parameter);
    }

    fn visit_alias(&mut self, alias: &'a Alias) {
        let name = match &alias.asname {
            Some(name) => name.as_str(),
            None => alias.name.as_str().split('.').next().unwrap_or_default(),
        };
        self.bind(name, alias.start());
        walk_alias(self, alias);
    }

    fn visit_except_handler(&mut self, handler: &'a ExceptHandler) {
        let ExceptHandler::ExceptHandler(inner) = handler;
        if let Some(name) = &inner.name {
            self.bind(name, name.range.start());
        }
        walk_except_handler(self, handler);
    }
}
