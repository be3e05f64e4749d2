//! Connections: kept on both sides, pipelined, cancelled with their client, replaced when dead.
