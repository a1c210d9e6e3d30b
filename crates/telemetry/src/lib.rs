//! The event log of predictions and outcomes: write-ahead segments, then Parquet.
