"""The tables, in their order: name and what is measured for it."""

from .bodies import download_subjects, upload_subjects
from .connections import idle_subjects, new_subjects
from .mocks import mock_subjects
from .proxy import proxy_subjects
from .size import size_subjects

SECTIONS = {
    "proxy": proxy_subjects,
    "download": download_subjects,
    "upload": upload_subjects,
    "new": new_subjects,
    "idle": idle_subjects,
    "mocks": mock_subjects,
    "size": size_subjects,
}
