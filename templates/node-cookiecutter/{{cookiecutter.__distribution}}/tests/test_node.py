"""The kit of tyqi-core tests the nodes of this package from their manifests. Put tests of what is right beside it."""


def test_node(node_check):
    node_check()
