"""The protocols that clients speak: one file per dialect, each reading a body and writing replies, events and errors."""
