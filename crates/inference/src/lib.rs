//! Running models exactly, without Python: inert readers and our own kernels.
