"""The tables, in their order: name and what is measured for it."""

from .mocks import mock_subjects
from .proxy import proxy_subjects
from .size import size_subjects

SECTIONS = {"proxy": proxy_subjects, "mocks": mock_subjects, "size": size_subjects}
