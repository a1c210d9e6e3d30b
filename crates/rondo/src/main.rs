//! The `rondo` binary: the command line in front of the house.

fn main() {}
