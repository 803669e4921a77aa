"""Rewrites a template's syntax tree so that ``sandbox.py`` can count what it does."""

# Jinja's visitors are not typed.
# pyright: reportUnknownMemberType=false, reportArgumentType=false

from jinja2 import nodes
from jinja2.visitor import NodeTransformer

# Filters of ours. No template can call them: its grammar has no names with a space in them.
STEP = "in steps"
CONCATENATED = "in one"
BUILT = "as built"
LOOPED = "as looped over"
SEARCHED = "as searched"


def counted(tree: nodes.Template) -> nodes.Template:
    """Return the tree, with a step in every loop and macro, and what is made weighed."""
    return _Counting().visit(tree)


class _Counting(NodeTransformer):
    def visit_For(self, node: nodes.For) -> nodes.Node:
        self.generic_visit(node)
        node.body.insert(0, _step(node))
        if node.test is not None:  # which is asked of all entries in one go
            node.iter = _filtered(node.iter, LOOPED)
        return node

    def visit_Output(self, node: nodes.Output) -> list[nodes.Node]:
        self.generic_visit(node)
        text = sum(len(each.data) for each in node.nodes if isinstance(each, nodes.TemplateData))
        return [_step(node, text), node] if text else [node]

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:
        self.generic_visit(node)
        parts = nodes.List(node.nodes, lineno=node.lineno, environment=node.environment)
        return _filtered(parts, CONCATENATED)

    def visit_List(self, node: nodes.List) -> nodes.Node:
        self.generic_visit(node)
        return _filtered(node, BUILT) if node.items else node

    def visit_Dict(self, node: nodes.Dict) -> nodes.Node:
        self.generic_visit(node)
        return _filtered(node, BUILT) if node.items else node

    def visit_Tuple(self, node: nodes.Tuple) -> nodes.Node:
        self.generic_visit(node)
        return _filtered(node, BUILT) if node.ctx == "load" and node.items else node

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Node:
        self.generic_visit(node)
        return _filtered(node, LOOPED) if isinstance(node.arg, nodes.Slice) else node

    def visit_Operand(self, node: nodes.Operand) -> nodes.Node:
        self.generic_visit(node)
        if node.op in ("in", "notin"):
            node.expr = _filtered(node.expr, SEARCHED)
        return node


def _step(beside: nodes.Node, characters: int = 0) -> nodes.Node:
    made = nodes.Const(characters, lineno=beside.lineno, environment=beside.environment)
    return nodes.ExprStmt(
        _filtered(made, STEP), lineno=beside.lineno, environment=beside.environment
    )


def _filtered(node: nodes.Expr, name: str) -> nodes.Filter:
    return nodes.Filter(
        node, name, [], [], None, None, lineno=node.lineno, environment=node.environment
    )
