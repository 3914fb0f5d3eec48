"""A sound data set in the folder layout, made once a session, and a copy of it for each test."""

import pytest
from plain_folder import clone, make_folder


@pytest.fixture(scope="session")
def original(tmp_path_factory):
    return make_folder(tmp_path_factory.mktemp("folder"))


@pytest.fixture
def folder(original, tmp_path):
    return clone(original, tmp_path)
