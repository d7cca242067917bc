"""Slack, e-mail, webhook and the log: each sends one message, or says why not."""
