import pytest

from support.world import World


@pytest.fixture(scope="session")
def four():
    """A world of four ranks: ``four(function, *arguments)`` gives the list of their results."""
    world = World(4)
    yield world
    world.end()
