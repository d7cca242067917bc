"""The `masker` command: one thin sub-command for each step."""
