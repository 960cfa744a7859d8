"""The protocols that clients speak: a file per dialect reads its bodies and writes its replies, events and errors."""
