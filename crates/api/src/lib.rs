//! The edge: one directory per wire protocol.
