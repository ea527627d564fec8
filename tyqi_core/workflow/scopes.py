"""Which sub-chain lies within which: the tree that makes availability of data lexical.

A sub-chain may be used by several tasks in several scopes. What its tasks may read is what encloses *every* use of it,
in graph words: the scopes that dominate it in the graph of uses. Those form a tree; here it grows scope by scope, in
an order in which users come before what they use. Questions are answered in O(log depth) by jump pointers
(E. W. Myers, "An applicative random-access stack", 1983), so that deep nests cost no more than wide ones.
"""

from __future__ import annotations

from collections.abc import Iterable

ROOT = ""


class Scopes:
    """The tree of scopes; :data:`ROOT` is the main workflow."""

    def __init__(self) -> None:
        self._depth = {ROOT: 0}
        self._parent = {ROOT: ROOT}
        self._jump = {ROOT: ROOT}

    def __contains__(self, scope: str) -> bool:
        return scope in self._depth

    def depth(self, scope: str) -> int:
        """How many scopes enclose it on every path."""
        return self._depth[scope]

    def add(self, scope: str, users: Iterable[str]) -> None:
        """Enter a scope that is used from within the scopes ``users``; with none it hangs under the main workflow."""
        parent: str | None = None
        for user in users:
            parent = user if parent is None else self.meet(parent, user)
        parent = parent or ROOT
        jump = self._jump[parent]
        self._parent[scope] = parent
        self._depth[scope] = self._depth[parent] + 1
        far = self._depth[parent] - self._depth[jump] == self._depth[jump] - self._depth[self._jump[jump]]
        self._jump[scope] = self._jump[jump] if far else parent

    def parent(self, scope: str) -> str:
        """The innermost scope that encloses it on every path; of the main workflow, itself."""
        return self._parent[scope]

    def up(self, scope: str, depth: int) -> str:
        """The scope at ``depth`` that encloses ``scope``."""
        while self._depth[scope] > depth:
            jump = self._jump[scope]
            scope = jump if self._depth[jump] >= depth else self._parent[scope]
        return scope

    def encloses(self, outer: str, inner: str) -> bool:
        """Whether ``outer`` is ``inner`` or lies around it on every path."""
        return self.up(inner, self._depth[outer]) == outer

    def meet(self, one: str, other: str) -> str:
        """The innermost scope that encloses both."""
        depth = min(self._depth[one], self._depth[other])
        one, other = self.up(one, depth), self.up(other, depth)
        while one != other:
            if self._jump[one] != self._jump[other]:
                one, other = self._jump[one], self._jump[other]
            else:
                one, other = self._parent[one], self._parent[other]
        return one

    def apart(self, one: str, other: str) -> tuple[str, str, str]:
        """Where two scopes part: the innermost one around both, and its children on the way to each."""
        around = self.meet(one, other)
        below = self._depth[around] + 1
        return around, self.up(one, below), self.up(other, below)
