"""The tables, in their order: name and what is measured for it."""

from .bodies import download_subjects, upload_subjects
from .connections import idle_subjects, new_subjects
from .grpc import grpc_subjects
from .mocks import mock_subjects
from .policies import policy_subjects
from .proxy import proxy_subjects
from .size import size_subjects
from .tcp import tcp_bulk_subjects, tcp_subjects
from .tls import h2_subjects, handshake_subjects, tls_subjects

SECTIONS = {
    "proxy": proxy_subjects,
    "download": download_subjects,
    "upload": upload_subjects,
    "new": new_subjects,
    "idle": idle_subjects,
    "tls": tls_subjects,
    "handshakes": handshake_subjects,
    "h2": h2_subjects,
    "grpc": grpc_subjects,
    "tcp": tcp_subjects,
    "tcp-bulk": tcp_bulk_subjects,
    "mocks": mock_subjects,
    "policies": policy_subjects,
    "size": size_subjects,
}
